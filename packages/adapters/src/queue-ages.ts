/** How long the jobs of a queue have waited for their turn. */
import type { Redis } from 'ioredis';

/** KEYS: wait, prioritized, delayed, meta, limiter. ARGV: key of a job without its id. Answers milliseconds, and 1 when nothing may be taken now. */
const script = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local since = now
local function look(id)
  local at = id and redis.call('HGET', ARGV[1] .. id, 'timestamp')
  if at then since = math.min(since, tonumber(at)) end
end
look(redis.call('LINDEX', KEYS[1], -1))
-- Organizations take turns, so that among the first fifty is the oldest job of each of fifty.
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, 49)) do look(id) end
local due = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if due[2] then since = math.min(since, math.floor(tonumber(due[2]) / 4096)) end
local held = redis.call('HEXISTS', KEYS[4], 'paused') == 1 or redis.call('PTTL', KEYS[5]) > 0
return { now - since, held and 1 or 0 }`;

/** Age in milliseconds of the oldest job that could be taken, and whether a pause or a rate limit is why it was not. A job tried before counts from when it was first added. */
export async function queueAge(
  redis: Redis,
  queueKey: string,
): Promise<{ readonly oldestMs: number; readonly held: boolean }> {
  const keys = ['wait', 'prioritized', 'delayed', 'meta', 'limiter'].map((name) => `${queueKey}:${name}`);
  // The script answers two integers.
  const [age, held] = (await redis.eval(script, keys.length, ...keys, `${queueKey}:`)) as [number, number];
  return { oldestMs: Math.max(0, age), held: held === 1 };
}
