/** Background jobs in memory: the same parsing, deduplication, retries and dead jobs as the real queues. */
import { jobs, laneOf, type QueueName, queueNames } from '@novax/contracts/jobs';
import type { JobQueue, JobWorker } from '@novax/domain/ports';
import { untilStopped } from '@novax/runtime/timed';
import { pickUp } from '../job-pickup.ts';
import { parsedPayload } from '../queues.ts';

/** Why a job is put back. */
const leaving = new Error('the worker is leaving');

interface HeldJob {
  readonly id: string;
  readonly name: string;
  readonly payload: unknown;
  readonly queue: QueueName;
  readonly attempts: number;
  /** When its organization's turn is; the lowest goes first. */
  readonly turn: number;
  readonly addedAt: number;
  made: number;
  state: 'waiting' | 'active' | 'delayed' | 'failed';
}

/** One pair of queue and worker over the same memory; `insert` places a job past all checks, as another release might. */
export function fakeJobs(options: { readonly retryBaseMs?: number } = {}): {
  queue: JobQueue;
  worker: JobWorker;
  insert(job: { id: string; name: string; payload: unknown; queue: QueueName }): void;
} {
  const held = new Map<string, HeldJob>();
  const schedules = new Map<string, { readonly wish: string; readonly timer: NodeJS.Timeout }>();
  const wakes = new Set<() => void>();
  const wake = (): void => wakes.forEach((call) => call());
  const waiting = (name: QueueName): HeldJob[] =>
    [...held.values()]
      .filter((job) => job.queue === name && job.state === 'waiting')
      .toSorted((a, b) => a.turn - b.turn);
  const lastTurns = new Map<string, number>();
  const hold = (job: Omit<HeldJob, 'made' | 'state' | 'turn' | 'addedAt'>, lane: string | null): void => {
    const key = `${job.queue}:${job.id}`;
    if (!held.has(key)) {
      const now = waiting(job.queue)[0]?.turn ?? 0;
      const turn = lane === null ? 0 : Math.max(now, (lastTurns.get(`${job.queue}:${lane}`) ?? 0) + 1);
      if (lane !== null) lastTurns.set(`${job.queue}:${lane}`, turn);
      held.set(key, { ...job, turn, addedAt: performance.now(), made: 0, state: 'waiting' });
    }
    wake();
  };

  const queue: JobQueue = {
    async add(requests) {
      for (const request of requests) parsedPayload(request);
      for (const request of requests)
        hold({ ...request, queue: jobs[request.name].queue, attempts: jobs[request.name].attempts }, laneOf(request));
    },
    async schedule(key, everyMs, request) {
      const row = jobs[request.name];
      const payload = parsedPayload(request);
      const wish = JSON.stringify([everyMs, request.name, payload]);
      if (schedules.get(key)?.wish === wish) return;
      clearInterval(schedules.get(key)?.timer);
      let turn = 0;
      const place = (): void =>
        hold(
          { id: `repeat-${key}-${turn++}`, name: request.name, payload, queue: row.queue, attempts: row.attempts },
          null,
        );
      place();
      schedules.set(key, { wish, timer: setInterval(place, everyMs) });
    },
    async counts() {
      const count = (name: QueueName, state: HeldJob['state']): number =>
        [...held.values()].filter((job) => job.queue === name && job.state === state).length;
      const rows = queueNames.map((name) => [
        name,
        {
          waiting: count(name, 'waiting'),
          active: count(name, 'active'),
          delayed: count(name, 'delayed'),
          failed: count(name, 'failed'),
        },
      ]);
      // One row per queue name, so every key of the record is there.
      return Object.fromEntries(rows) as Awaited<ReturnType<JobQueue['counts']>>;
    },
    async ages() {
      const rows = queueNames.map((name) => {
        const oldest = Math.min(performance.now(), ...waiting(name).map(({ addedAt }) => addedAt));
        return [name, { oldestMs: Math.round(performance.now() - oldest), held: false }];
      });
      // One row per queue name, so every key of the record is there.
      return Object.fromEntries(rows) as Awaited<ReturnType<JobQueue['ages']>>;
    },
    async ping() {},
    async close() {
      for (const { timer } of schedules.values()) clearInterval(timer);
      schedules.clear();
    },
  };

  const worker: JobWorker = {
    async run(run) {
      let stopped = false;
      const active = new Set<Promise<void>>();
      const stops = new Set<AbortController>();
      const pump = (): void => {
        if (stopped) return;
        for (const job of waiting(run.queue)) {
          if (active.size >= run.concurrency) return;
          job.state = 'active';
          const turn = attempt(`${job.queue}:${job.id}`, job).finally(() => {
            active.delete(turn);
            pump();
          });
          active.add(turn);
        }
      };
      const attempt = async (key: string, job: HeldJob): Promise<void> => {
        job.made += 1;
        const stop = new AbortController();
        stops.add(stop);
        const picked = pickUp({ ...job, attempt: job.made });
        try {
          if (picked instanceof Error) throw picked;
          await untilStopped(stop, run.timeLimitMs, (signal) => run.handle(picked, signal));
          held.delete(key);
        } catch (thrown) {
          const error = thrown instanceof Error ? thrown : new Error(String(thrown));
          if (thrown === leaving) {
            job.made -= 1;
            job.state = 'waiting';
            wake();
          } else if (picked instanceof Error || job.made >= job.attempts) await bury(key, job, error);
          else retryLater(job);
        } finally {
          stops.delete(stop);
        }
      };
      const bury = async (key: string, job: HeldJob, error: Error): Promise<void> => {
        job.state = 'failed';
        await run.onDead({ id: job.id, name: job.name, payload: job.payload, attempts: job.made }, error);
        held.delete(key);
      };
      const retryLater = (job: HeldJob): void => {
        job.state = 'delayed';
        setTimeout(
          () => {
            job.state = 'waiting';
            wake();
          },
          (options.retryBaseMs ?? 1000) * 2 ** (job.made - 1),
        );
      };
      wakes.add(pump);
      pump();
      return async (patienceMs) => {
        stopped = true;
        wakes.delete(pump);
        const leave = (): void => stops.forEach((stop) => stop.abort(leaving));
        const late = patienceMs === undefined ? undefined : setTimeout(leave, patienceMs);
        await Promise.all(active);
        clearTimeout(late);
      };
    },
    idleMs: () => 0,
    async restart() {},
  };
  return { queue, worker, insert: (job) => hold({ ...job, attempts: 5 }, null) };
}
