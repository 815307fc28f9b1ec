/** What lost processes and a lost queue server cost the work that is owed: time, and nothing else. */
import { connectJobQueue } from '@novax/adapters/queues';
import { pause } from '@novax/runtime/clock';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call } from '../kit/call.ts';
import { eventually } from '../kit/eventually.ts';
import { startJobYard, type JobYard } from '../kit/faults/job-yard.ts';
import { quiet } from '../kit/quiet.ts';

let yard: JobYard;
const figures: string[] = [];
beforeAll(async () => {
  yard = await startJobYard();
});
afterAll(async () => {
  process.stdout.write(`${figures.map((line) => `jobs: ${line}`).join('\n')}\n`);
  await yard[Symbol.asyncDispose]();
});
/** How often a process is killed, and how long another is held still, how often; more and longer in `npm run test:slow`. */
const kills = Number(process.env['NOVAX_JOB_KILLS'] ?? 5);
/** A job that took its process down six times is given up: it may be the one that kills them. */
const killsOfAJob = 5;
const [heldMs, holds] = [
  Number(process.env['NOVAX_JOB_HELD_MS'] ?? 5_000),
  Number(process.env['NOVAX_JOB_HOLDS'] ?? 1),
];
const long = { timeout: 120_000 };
const slow = { timeoutMs: 30_000, everyMs: 20 };

test(
  'a process killed in the middle of its jobs, again and again, leaves every effect once and no job given up',
  { timeout: 120_000 + kills * 10_000 },
  async () => {
    let slowest = 0;
    for (let round = 0; round < kills / killsOfAJob; round += 1) slowest = Math.max(slowest, await killAgain());
    const stalls = await yard.stalls('embedding');
    expect(stalls, 'jobs must have been taken from the dead').toBeGreaterThan(0);
    figures.push(
      `${kills} kills in mid-job, ${killsOfAJob} of the same jobs: 6 documents paid once at most ${slowest} ms after the last start, ${stalls} jobs taken from the dead, 0 given up`,
    );
  },
);

/** Kills whoever has the jobs of six documents in hand, as often as a job bears it; answers how soon they were paid afterwards, milliseconds. */
async function killAgain(): Promise<number> {
  yard.model.delayMs = 1500;
  const documents = await yard.documents(6);
  for (let kill = 0; kill < killsOfAJob; kill += 1) {
    await using process = await yard.jobs();
    await eventually(() => expect(yard.model.calls).toBeGreaterThan(0), slow);
    process.signal('SIGKILL');
    expect(await process.ended).toBe('SIGKILL');
    await eventually(() => expect(yard.model.calls).toBe(0), slow);
  }
  yard.model.delayMs = 0;
  await using last = await yard.jobs();
  expect(last.pid).toBeGreaterThan(0);
  // Awaited here, or the process would end with this function before it has paid.
  return await yard.paid(documents, 60_000);
}

test('a process that dies between an effect and its acknowledgement leaves the effect once', long, async () => {
  for (const times of [1, 3]) {
    const documents = await yard.documents(3);
    await using armed = await yard.jobs({ NOVAX_CRASH_AT: `job.after_effect:${times}` });
    expect(await armed.ended).toBe('SIGKILL');
    await using next = await yard.jobs();
    expect(next.pid).toBeGreaterThan(0);
    const ms = await yard.paid(documents, 60_000);
    figures.push(`killed at job.after_effect, time ${times}: 3 documents paid once ${ms} ms after the next start`);
  }
});

test(
  'a process held still for many times its lock comes back to jobs that others did, and does nothing twice',
  { timeout: holds * (120_000 + heldMs) },
  async () => {
    for (let hold = 0; hold < holds; hold += 1) figures.push(await holdStill());
  },
);

/** Holds a process still in the middle of its jobs, while another takes them over; answers what came of it. */
async function holdStill(): Promise<string> {
  yard.model.delayMs = 1000;
  const documents = await yard.documents(6);
  await using held = await yard.jobs();
  await eventually(() => expect(yard.model.calls).toBeGreaterThan(0), slow);
  held.signal('SIGSTOP');
  await using other = await yard.jobs();
  expect(other.pid).toBeGreaterThan(0);
  const before = await yard.stalls('embedding');
  await pause(heldMs);
  held.signal('SIGCONT');
  const ms = await yard.paid(documents, 60_000);
  yard.model.delayMs = 0;
  const stalls = (await yard.stalls('embedding')) - before;
  expect(stalls).toBeGreaterThan(0);
  return `held still ${heldMs / 1000} s with a lock of 1 s: ${stalls} jobs taken over, 6 documents paid once, ${ms} ms after it went on`;
}

test(
  'SIGTERM with ten slow jobs in hand: all are finished, none is taken over, and the process ends in time',
  long,
  async () => {
    yard.model.delayMs = 3000;
    const before = await yard.stalls('embedding');
    await using process = await yard.jobs({ QUEUE_LIMITS: { embedding: { concurrency: 10 } } });
    const documents = await yard.documents(10);
    await eventually(() => expect(yard.model.calls).toBe(10), slow);
    const started = performance.now();
    process.signal('SIGTERM');
    expect(await process.ended).toBe(0);
    const ms = Math.round(performance.now() - started);
    expect(ms).toBeLessThan(yard.api.workersEnv.SHUTDOWN_DEADLINE_MS);
    const { rows } = await yard.admin.query(
      `select count(*)::int as n from ai_embeddings where document_id = any($1)`,
      [documents],
    );
    expect(rows).toEqual([{ n: 10 }]);
    expect((await yard.queue.counts()).embedding).toMatchObject({ active: 0, failed: 0 });
    expect((await yard.stalls('embedding')) - before).toBe(0);
    yard.model.delayMs = 0;
    await using next = await yard.jobs();
    expect(next.pid).toBeGreaterThan(0);
    await yard.paid(documents, 60_000);
    figures.push(`SIGTERM with 10 jobs of 3 s in hand: 10 finished, exit 0 after ${ms} ms, 0 stalled`);
  },
);

test(
  'the queue server killed, emptied, or put back to an earlier state: what is owed is queued again within a minute, and done once',
  { timeout: 240_000 },
  async () => {
    await using process = await yard.jobs();
    expect(process.pid).toBeGreaterThan(0);
    const waiting = async (): Promise<readonly string[]> => {
      await yard.pause('embedding');
      const documents = await yard.documents(6);
      await eventually(async () => expect((await yard.queue.counts()).embedding.waiting).toBe(12), slow);
      await yard.age(documents);
      return documents;
    };

    const killed = await waiting();
    if (await yard.valkey.kill()) {
      await yard.resume('embedding');
      figures.push(
        `queue server killed with 12 jobs waiting: paid once ${await yard.paid(killed, 60_000)} ms after it was back`,
      );
    } else {
      await yard.resume('embedding');
      figures.push('NOT RUN: the queue server has no process here to be killed');
    }

    const emptied = await waiting();
    await yard.valkey.redis.flushall();
    figures.push(`FLUSHALL with 12 jobs waiting: paid once after ${await yard.paid(emptied, 60_000)} ms`);

    const earlier = await waiting();
    const putBack = await yard.valkey.snapshot();
    await yard.resume('embedding');
    await yard.paid(earlier, 60_000);
    const later = await waiting();
    await putBack();
    await yard.resume('embedding');
    const ms = await yard.paid([...earlier, ...later], 60_000);
    figures.push(`an earlier state put back, 12 jobs done since and 12 unknown to it: all paid once after ${ms} ms`);
  },
);

test(
  'with the queue server full, producers fail at once, reads and writes are served, and the work is done later',
  long,
  async () => {
    await using process = await yard.jobs();
    expect(process.pid).toBeGreaterThan(0);
    const [seen = ''] = await yard.documents(1);
    await yard.paid([seen], 60_000);
    const { redis } = yard.valkey;
    await redis.config('SET', 'maxmemory', '1');
    try {
      const started = performance.now();
      const added = yard.queue.add([
        {
          name: 'embed-document',
          id: 'full',
          payload: { organizationId: yard.actors.organizationId, documentId: seen, event: null },
        },
      ]);
      await expect(added).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      const ms = Math.round(performance.now() - started);
      expect(ms).toBeLessThan(2000);
      const { authorization } = yard.actors.owner;
      const read = await call(yard.api.url, 'documents.get', { input: { id: seen }, authorization });
      expect(read.status).toBe(200);
      const documents = await yard.documents(3);
      const { rows } = await yard.admin.query(`select count(*)::int as n from events where aggregate_id = any($1)`, [
        documents,
      ]);
      expect(rows).toEqual([{ n: 3 }]);
      await yard.age(documents);
      await redis.config('SET', 'maxmemory', '0');
      const paid = await yard.paid(documents, 60_000);
      figures.push(
        `queue server full: a producer failed after ${ms} ms, a read and 3 writes were served, the 3 paid ${paid} ms after there was room`,
      );
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
  },
);

test('workers refuse to start on a queue server that may evict jobs, and say the mend', long, async () => {
  const { redis, url } = yard.valkey;
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  try {
    await expect(yard.jobs()).rejects.toThrow(/allkeys-lru.*CONFIG SET maxmemory-policy noeviction/s);
    await expect(connectJobQueue({ url, log: quiet })).rejects.toMatchObject({ code: 'INTERNAL' });
  } finally {
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
  }
});
