/** Starts steps in order, each gated on the health of the one before, keeps them running, and stops them in reverse. */
import { RESTART_POLICY } from './backoff.ts';
import type { RestartPolicy } from './backoff.ts';
import type { SupervisorEvent } from './events.ts';
import type { Step } from './process-spec.ts';
import { supervise } from './supervised.ts';
import type { Supervised, SupervisedStatus } from './supervised.ts';

export interface Supervisor {
  /** Resolves when every step is done or ready; rejects with the first failure, after everything was stopped again. */
  readonly ready: Promise<void>;
  /** Resolves when everything has stopped: undefined after `stop()` or the signal, the reason when a process was given up. */
  readonly done: Promise<Error | undefined>;
  statuses(): SupervisedStatus[];
  /** Stops in reverse order, each within its own time. Idempotent. */
  stop(): Promise<void>;
}

/** Runs `processes` until `signal` is aborted, `stop()` is called or one of them is given up. */
export function runSupervisor(options: {
  processes: readonly Step[];
  logDir: string;
  signal: AbortSignal;
  onEvent?: (event: SupervisorEvent) => void;
  onChange?: () => void;
  policy?: RestartPolicy;
}): Supervisor {
  const { processes, logDir, signal } = options;
  const onEvent = options.onEvent ?? (() => undefined);
  const onChange = options.onChange ?? (() => undefined);
  const running: Supervised[] = [];
  const halt = new AbortController();
  const finished = Promise.withResolvers<Error | undefined>();
  let stopped: Promise<void> | undefined;

  const stopAll = async (reason: Error | undefined): Promise<void> => {
    halt.abort(reason ?? new Error('stopped'));
    for (const process of running.toReversed()) await process.stop();
    finished.resolve(reason);
  };
  const stop = (reason?: Error): Promise<void> => (stopped ??= stopAll(reason));

  const startAll = async (): Promise<void> => {
    const began = performance.now();
    for (const step of processes) {
      halt.signal.throwIfAborted();
      if (step.step === 'task') {
        onEvent({ type: 'task-started', name: step.name });
        const taskBegan = performance.now();
        await step.run(halt.signal);
        onEvent({ type: 'task-done', name: step.name, afterMs: performance.now() - taskBegan });
      } else {
        const process = supervise(step, { logDir, policy: options.policy ?? RESTART_POLICY, onEvent, onChange });
        running.push(process);
        void process.gaveUp.then((error) => stop(error));
        await process.ready;
      }
    }
    halt.signal.throwIfAborted();
    onEvent({ type: 'all-ready', afterMs: performance.now() - began });
  };

  const ready = startAll().catch(async (error: unknown) => {
    const reason = error instanceof Error ? error : new Error(String(error));
    await stop(signal.aborted ? undefined : reason);
    throw reason;
  });
  ready.catch(() => undefined);
  const onAbort = (): void => void stop();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();

  return {
    ready,
    done: finished.promise,
    statuses: () => running.map((process) => process.status()),
    stop: () => stop(),
  };
}
