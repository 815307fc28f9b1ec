/** Exact sliding-window rate limits: one sorted set of call times per key, changed by one script on the server's clock. */
import { createHash } from 'node:crypto';
import type { RateDecision, RateLimiter } from '@novax/domain/ports';
import { invariant } from '@novax/runtime/invariant';
import type { Redis } from 'ioredis';
import { redisCall } from './redis.ts';

/**
 * KEYS[1] the window; ARGV[1] limit; ARGV[2] window in ms. Answers admitted (1|0), remaining, µs to wait.
 * Times are µs in decimal text: Lua would print them in scientific notation. A refused call leaves no trace, so refusals never extend a wait.
 */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit = tonumber(ARGV[1])
local window = tonumber(ARGV[2]) * 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local count = redis.call('ZCARD', KEYS[1])
if count < limit then
  local at = string.format('%.0f', now)
  redis.call('ZADD', KEYS[1], at, at .. '-' .. count)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { 1, limit - count - 1, 0 }
end
if limit < 1 then
  return { 0, 0, window }
end
local blocking = redis.call('ZRANGE', KEYS[1], count - limit, count - limit, 'WITHSCORES')
return { 0, 0, math.ceil(blocking[2] + window - now) }
`;
const scriptSha = createHash('sha1').update(script).digest('hex');

/** Windows in `redis`; `take` throws DEPENDENCY_UNAVAILABLE when the server is away. */
export function redisRateLimiter(redis: Redis): RateLimiter {
  return {
    async take(key, limit, windowMs): Promise<RateDecision> {
      const reply = await redisCall(() => evaluate(redis, [key, limit, windowMs]));
      invariant(Array.isArray(reply) && reply.length === 3, 'the rate limit script answers three numbers');
      const [admitted, remaining, waitUs] = reply.map(Number);
      return {
        admitted: admitted === 1,
        limit,
        remaining: remaining ?? 0,
        retryAfterMs: Math.ceil((waitUs ?? 0) / 1000),
      };
    },
  };
}

async function evaluate(redis: Redis, call: [key: string, limit: number, windowMs: number]): Promise<unknown> {
  try {
    return await redis.evalsha(scriptSha, 1, ...call);
  } catch (thrown) {
    // The server forgets scripts when it restarts.
    if (!(thrown instanceof Error) || !thrown.message.startsWith('NOSCRIPT')) throw thrown;
    return redis.eval(script, 1, ...call);
  }
}
