/**
 * Turns between organizations in one queue: start-time fair queueing by BullMQ's own job priorities.
 *
 * A job's priority is its start tag: the queue's virtual time or its organization's last tag plus one, whichever is later, the queue's time
 * being the tag of the job whose turn is next. So each organization that waits gets one job in turn, and its own stay in the order they came.
 * The bound: n jobs of an organization that has none waiting begin after the jobs in hand and at most n of each other one that waits, however
 * long the others' lines are.
 *
 * Chosen over a staging area with refills: a tag is all there is to lose. Jobs lie in BullMQ from the start, ids dedupe as before, and with the
 * tags gone or wrong jobs come out in another order, never twice and never not. Memory is one number per organization, dropped whenever
 * nobody waits. Past a million turns without such a moment the tags meet BullMQ's highest priority, and the surplus is served as it came.
 */
import { laneOf, type JobRequest } from '@novax/contracts/jobs';
import type { Redis } from 'ioredis';

/** BullMQ's highest priority number; the last to be served. */
const lastTag = 2_097_152;
/** BullMQ keeps its waiting jobs by priority times this, plus a counter. */
const scorePerTag = 0x1_0000_0000;

/** KEYS: tags (hash by organization, with `now` and `next`), waiting jobs. ARGV: key of a job without its id, then organization and id of each. Answers a tag each, 0 for a job that is there already. */
const script = `
local waiting = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local now = tonumber(redis.call('HGET', KEYS[1], 'now') or 1)
local next = tonumber(redis.call('HGET', KEYS[1], 'next') or 1)
if waiting[2] then
  now = math.max(now, math.floor(tonumber(waiting[2]) / ${scorePerTag}))
  redis.call('HSET', KEYS[1], 'now', now)
else
  -- Kept for this call only: others may have tags below it for jobs that do not wait yet, and theirs is the time then.
  now = next < ${lastTag / 2} and next or 1
  next = now
  redis.call('DEL', KEYS[1])
end
local tags = {}
for at = 2, #ARGV, 2 do
  if redis.call('EXISTS', ARGV[1] .. ARGV[at + 1]) == 1 then
    tags[#tags + 1] = 0
  else
    local tag = math.max(now, tonumber(redis.call('HGET', KEYS[1], ARGV[at]) or 0))
    redis.call('HSET', KEYS[1], ARGV[at], tag + 1)
    next = math.max(next, tag + 1)
    tags[#tags + 1] = math.min(tag, ${lastTag})
  end
end
redis.call('HSET', KEYS[1], 'next', next)
return tags`;

/** Priorities for jobs about to be added to one queue, in their order; 0, which BullMQ serves before all others, for those of no organization. */
export async function turnsFor(
  redis: Redis,
  queueKey: string,
  requests: readonly JobRequest[],
): Promise<readonly number[]> {
  const lanes = requests.map(laneOf);
  const pairs = requests.flatMap(({ id }, index) => {
    const lane = lanes[index];
    return lane === null || lane === undefined ? [] : [lane, id];
  });
  if (pairs.length === 0) return requests.map(() => 0);
  // The script answers one integer per pair.
  const tags = (await redis.eval(
    script,
    2,
    `${queueKey}:lanes`,
    `${queueKey}:prioritized`,
    `${queueKey}:`,
    ...pairs,
  )) as number[];
  let taken = 0;
  return lanes.map((lane) => (lane === null ? 0 : (tags[taken++] ?? 0)));
}
