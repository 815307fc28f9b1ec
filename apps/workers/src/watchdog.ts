/** Watches how long jobs wait, and starts a worker afresh that leaves them waiting. */
import { queueNames, type QueueName } from '@novax/contracts/jobs';
import type { JobQueue, JobWorker } from '@novax/domain/ports';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';

export interface WatchdogOptions {
  readonly queue: Pick<JobQueue, 'ages'>;
  readonly worker: Pick<JobWorker, 'idleMs' | 'restart'>;
  readonly metrics: Pick<Metrics, 'queueOldest' | 'workerRestarts'>;
  readonly log: Logger;
  /** Milliseconds between looks. */
  readonly everyMs?: number;
  /** A worker is stuck when a job has waited that many milliseconds while it had room and took none for as long. */
  readonly stuckMs?: number;
}

/**
 * Looks until the answer is called. A worker is restarted when it was found stuck at two looks in a row, so that a server that has just come
 * back is given a moment. With the server away there is nothing to be seen, and nothing is restarted.
 */
export function startWatchdog(options: WatchdogOptions): () => Promise<void> {
  const { queue, worker, metrics, log, everyMs = 5000, stuckMs = 30_000 } = options;
  const suspects = new Set<QueueName>();
  const look = async (): Promise<void> => {
    const ages = await queue.ages();
    for (const name of queueNames) {
      const { oldestMs, held } = ages[name];
      metrics.queueOldest.set({ queue: name }, oldestMs / 1000);
      const stuck = !held && oldestMs > stuckMs && worker.idleMs(name) > stuckMs;
      if (!stuck) suspects.delete(name);
      else if (!suspects.delete(name)) suspects.add(name);
      else {
        log.error({ queue: name, oldestMs }, 'jobs wait and none is taken: worker restarted');
        await worker.restart(name);
        metrics.workerRestarts.inc({ queue: name });
      }
    }
  };
  let looking = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    looking = look()
      .catch((err: unknown) => log.debug({ err }, 'queues could not be looked at'))
      .finally(() => (busy = false));
  }, everyMs);
  return async () => {
    clearInterval(timer);
    await looking;
  };
}
