/** Exact sliding-window rate limits: one sorted set of call times per key, all of a call's windows changed by one script on the server's clock. */
import { createHash } from 'node:crypto';
import type { RateLimiter, RateWindow } from '@novax/domain/rate-limiter';
import { invariant } from '@novax/runtime/invariant';
import type { Redis } from 'ioredis';
import { decide, type WindowState } from './rate-decision.ts';
import { redisCall } from './redis.ts';

/**
 * KEYS the windows; ARGV limit and length in ms of each in turn. Answers per window: remaining, µs to wait, µs until its oldest call leaves.
 * Times are µs in decimal text: Lua would print them in scientific notation. Nothing is written unless every window has room, so a refused
 * call leaves no trace; a set therefore never holds more than its limit, and vanishes one window after the last admitted call.
 * Calls from the future, left by a server clock that was set back, are counted as calls of now: nobody waits longer than a window.
 */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = string.format('%.0f', now)
local looked, open = {}, true
for i, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[2 * i - 1])
  local window = tonumber(ARGV[2 * i]) * 1000
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
  local early = redis.call('ZRANGE', key, '(' .. at, '+inf', 'BYSCORE')
  for _, member in ipairs(early) do
    redis.call('ZADD', key, at, member)
  end
  if #early > 0 then
    redis.call('PEXPIRE', key, ARGV[2 * i])
  end
  local count = redis.call('ZCARD', key)
  local wait = 0
  if limit < 1 then
    wait = window
  elseif count >= limit then
    wait = redis.call('ZRANGE', key, count - limit, count - limit, 'WITHSCORES')[2] + window - now
  end
  local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or now
  open = open and wait == 0
  looked[i] = { key, limit - count, wait, oldest + window - now, ARGV[2 * i], count }
end
local answer = {}
for _, it in ipairs(looked) do
  local remaining = it[2]
  if open then
    redis.call('ZADD', it[1], at, at .. '-' .. it[6])
    redis.call('PEXPIRE', it[1], it[5])
    remaining = remaining - 1
  end
  table.insert(answer, math.max(remaining, 0))
  table.insert(answer, math.ceil(it[3]))
  table.insert(answer, math.ceil(it[4]))
end
return answer
`;
const scriptSha = createHash('sha1').update(script).digest('hex');

/**
 * Windows in `redis`, one round trip per `take`. The server is one primary: on a cluster the windows of a call, whose keys share no hash slot,
 * would be refused. A restart loses at most what its append-only file had not yet written; limits begin anew then.
 */
export function redisRateLimiter(redis: Redis): RateLimiter {
  return {
    async take(windows) {
      const reply = await redisCall(() => evaluate(redis, windows));
      invariant(
        Array.isArray(reply) && reply.length === 3 * windows.length,
        'the script answers three numbers a window',
      );
      const numbers = reply.map(Number);
      const states = windows.map((_, index): WindowState => {
        const [remaining = 0, waitUs = 0, oldestLeavesUs = 0] = numbers.slice(3 * index);
        return { remaining, waitMs: waitUs / 1000, oldestLeavesMs: oldestLeavesUs / 1000 };
      });
      return decide(windows, states);
    },
  };
}

async function evaluate(redis: Redis, windows: readonly RateWindow[]): Promise<unknown> {
  const keys = windows.map(({ key }) => key);
  const call = [keys.length, ...keys, ...windows.flatMap(({ limit, windowMs }) => [limit, windowMs])] as const;
  try {
    return await redis.evalsha(scriptSha, ...call);
  } catch (thrown) {
    // The server forgets scripts when it restarts.
    if (!(thrown instanceof Error) || !thrown.message.startsWith('NOSCRIPT')) throw thrown;
    return redis.eval(script, ...call);
  }
}
