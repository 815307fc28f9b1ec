/** Failed sign-ins, counted on the server's clock; each step is one script, so that simultaneous tries see each other. */
import { createHash } from 'node:crypto';
import { cacheKeys } from '@novax/contracts/cache-keys';
import { signInWaitMaxMs } from '@novax/contracts/limits';
import type { LoginGuard, SignInTry } from '@novax/domain/ports';
import { invariant } from '@novax/runtime/invariant';
import type { Redis } from 'ioredis';
import { redisCall } from './redis.ts';

export interface LoginGuardOptions {
  /** Failures of an account, and of a network, that cost no wait. */
  readonly tries: { readonly account: number; readonly network: number };
}

/** The wait after the first failure past the free ones, milliseconds; each further one doubles it. */
export const signInWaitMs = 1_000;
/** A network is forgiven one failure in this time, so that an office full of people who mistype is not held up; an account is forgiven none. */
export const networkForgivesMs = 6 * 60_000;
/** An account knows a network from which it signed in this long, seconds. */
export const knownS = 30 * 24 * 60 * 60;
/** Counts are forgotten this long after the last failure, seconds. */
export const countedS = 24 * 60 * 60;

/**
 * A counter is a hash: n failures, the last `at`, no further try before `until` (ms in decimal text: Lua would print them in scientific notation).
 * KEYS account's counter, its counter for this network, its mark for this network, the network's counter.
 */
const shared = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.3f', number) end
local own = redis.call('EXISTS', KEYS[3]) == 1 and KEYS[2] or KEYS[1]
local function count(key, forgives)
  local f = redis.call('HMGET', key, 'n', 'at')
  local n = tonumber(f[1] or '0')
  if forgives > 0 then n = math.max(0, n - (now - tonumber(f[2] or text(now))) / forgives) end
  return n
end
`;

/** ARGV free tries of an account, of a network; first wait, longest wait, forgiveness of a network, all ms; life of a counter, s. Answers ms to wait, 0 when admitted. */
const begin = script(`${shared}
local function wait(key) return tonumber(redis.call('HGET', key, 'until') or '0') - now end
local longest = math.max(wait(own), wait(KEYS[4]))
if longest > 0 then return math.ceil(longest) end
local function fail(key, free, forgives)
  local n = count(key, forgives) + 1
  -- Rounded, or the moments between ten tries would already forgive a little of the tenth.
  local over = math.floor(n + 0.5) - free
  local pause = over < 0 and 0 or math.min(tonumber(ARGV[4]), tonumber(ARGV[3]) * 2 ^ math.min(over, 40))
  redis.call('HSET', key, 'n', text(n), 'at', text(now), 'until', text(now + pause))
  redis.call('EXPIRE', key, ARGV[6])
end
fail(own, tonumber(ARGV[1]), 0)
fail(KEYS[4], tonumber(ARGV[2]), tonumber(ARGV[5]))
return 0
`);

/** ARGV forgiveness of a network, ms; how long a network is known, s; life of a counter, s. A right password from a known network says nothing about strangers' tries, so their count stays. */
const succeed = script(`${shared}
redis.call('DEL', own, KEYS[2])
local n = count(KEYS[4], tonumber(ARGV[1])) - 1
if n <= 0 then redis.call('DEL', KEYS[4])
else
  redis.call('HSET', KEYS[4], 'n', text(n), 'at', text(now), 'until', '0')
  redis.call('EXPIRE', KEYS[4], ARGV[3])
end
redis.call('SET', KEYS[3], '1', 'EX', ARGV[2])
return 0
`);

/** ARGV how long a network is known, s. */
const clear = script(`
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], '1', 'EX', ARGV[1])
return 0
`);

/** Counts in `redis`. */
export function redisLoginGuard(redis: Redis, options: LoginGuardOptions): LoginGuard {
  const { account, network } = options.tries;
  return {
    async begin(attempt) {
      const values = [account, network, signInWaitMs, signInWaitMaxMs, networkForgivesMs, countedS];
      const retryAfterMs = await run(redis, begin, { attempt, values });
      return { admitted: retryAfterMs === 0, retryAfterMs };
    },
    async succeeded(attempt) {
      await run(redis, succeed, { attempt, values: [networkForgivesMs, knownS, countedS] });
    },
    async cleared(attempt) {
      await run(redis, clear, { attempt, values: [knownS] });
    },
  };
}

function script(text: string): { readonly text: string; readonly sha: string } {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

async function run(
  redis: Redis,
  step: ReturnType<typeof script>,
  call: { readonly attempt: SignInTry; readonly values: readonly number[] },
): Promise<number> {
  const { account, network } = call.attempt;
  const keys = [
    cacheKeys.signInAccount(account),
    cacheKeys.signInKnown(account, network),
    cacheKeys.signInNetworkOf(account, network),
    cacheKeys.signInNetwork(network),
  ];
  const reply = await redisCall(async () => {
    try {
      return await redis.evalsha(step.sha, keys.length, ...keys, ...call.values);
    } catch (thrown) {
      // The server forgets scripts when it restarts.
      if (!(thrown instanceof Error) || !thrown.message.startsWith('NOSCRIPT')) throw thrown;
      return redis.eval(step.text, keys.length, ...keys, ...call.values);
    }
  });
  invariant(typeof reply === 'number', 'a sign-in script answers a number');
  return reply;
}
