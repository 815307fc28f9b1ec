/** Keeps one process alive: starts it, waits until it serves, restarts it when it dies, stops it when told. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ServiceStatus } from '../stack/driver.ts';
import { restartDelay } from './backoff.ts';
import type { RestartPolicy } from './backoff.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import type { SupervisorEvent } from './events.ts';
import { openLogFile } from './log-file.ts';
import type { ProcessIdentity } from './pids.ts';
import type { ProcessSpec } from './process-spec.ts';

export interface SupervisedStatus extends ServiceStatus {
  kind: 'server' | 'app';
  identity: ProcessIdentity | null;
  wrapper: ProcessIdentity | null;
  stopSignal: NodeJS.Signals;
}

export interface Supervised {
  readonly spec: ProcessSpec;
  status(): SupervisedStatus;
  /** Resolves when it serves for the first time; rejects when it was given up or stopped before that. */
  readonly ready: Promise<void>;
  /** Resolves with the reason if it is given up; never otherwise. */
  readonly gaveUp: Promise<Error>;
  stop(): Promise<void>;
}

const POLL_MS = 50;
const SLOW_POLL_MS = 250;

/** Begins at once. `onChange` is called after every change of `status()`. */
export function supervise(
  spec: ProcessSpec,
  options: { logDir: string; policy: RestartPolicy; onEvent: (event: SupervisorEvent) => void; onChange: () => void },
): Supervised {
  const log = openLogFile(join(options.logDir, `${spec.name}.log`));
  const stopping = new AbortController();
  const firstReady = Promise.withResolvers<void>();
  const gaveUp = Promise.withResolvers<Error>();
  firstReady.promise.catch(() => undefined);
  let state: ServiceStatus['state'] = 'starting';
  let child: Child | undefined;
  let restarts = 0;

  const enter = (next: ServiceStatus['state']): void => {
    state = next;
    options.onChange();
  };

  const runOnce = async (): Promise<{ text: string; served: boolean; servedMs: number }> => {
    const began = Date.now();
    let readyAt: number | undefined;
    try {
      await spec.before?.();
      child = await startChild(spec, log);
    } catch (error) {
      return { text: error instanceof Error ? error.message : String(error), served: false, servedMs: 0 };
    }
    const running = child;
    options.onChange();
    const watch = new AbortController();
    const stopWatching = (): void => watch.abort();
    stopping.signal.addEventListener('abort', stopWatching, { once: true });
    const becameReady = untilReady(spec, watch.signal).then((problem) => {
      if (problem !== undefined || watch.signal.aborted) return problem;
      readyAt = Date.now();
      options.onEvent({ type: 'ready', name: spec.name, afterMs: readyAt - began, url: spec.url });
      enter('ready');
      firstReady.resolve();
      return undefined;
    });
    const problem = await Promise.race([becameReady, running.ended.then(() => undefined)]);
    if (problem !== undefined && !stopping.signal.aborted) {
      await running.stop();
      watch.abort();
      return { text: `is not ready after ${spec.readyTimeoutMs / 1000} s: ${problem}`, served: false, servedMs: 0 };
    }
    const { text } = await running.ended;
    watch.abort();
    stopping.signal.removeEventListener('abort', stopWatching);
    child = undefined;
    return { text, served: readyAt !== undefined, servedMs: readyAt === undefined ? 0 : Date.now() - readyAt };
  };

  const loop = async (): Promise<void> => {
    let failedStarts = 0;
    let attempt = 0;
    options.onEvent({ type: 'starting', name: spec.name });
    while (!stopping.signal.aborted) {
      const end = await runOnce();
      if (stopping.signal.aborted) break;
      failedStarts = end.served ? 0 : failedStarts + 1;
      if (failedStarts >= options.policy.maxFailedStarts) {
        enter('failed');
        options.onEvent({ type: 'gave-up', name: spec.name, text: `${end.text} (${failedStarts} failed starts)` });
        const error = new Error(`${spec.name} ${end.text}; see ${log.path}`);
        firstReady.reject(error);
        gaveUp.resolve(error);
        return;
      }
      attempt = end.servedMs >= options.policy.stableMs ? 1 : attempt + 1;
      restarts += 1;
      const delayMs = restartDelay(options.policy, attempt);
      enter('restarting');
      options.onEvent({ type: 'down', name: spec.name, text: end.text, delayMs, attempt });
      await pause(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const loopEnded = loop();

  return {
    spec,
    ready: firstReady.promise,
    gaveUp: gaveUp.promise,
    status: () => ({
      name: spec.name,
      kind: spec.kind,
      role: spec.role,
      url: spec.url,
      pid: child?.identity.pid ?? null,
      logFile: log.path,
      state,
      restarts,
      startedAt: child?.startedAt.toISOString() ?? null,
      identity: child?.identity ?? null,
      wrapper: child?.wrapper ?? null,
      stopSignal: spec.stopSignal,
    }),
    stop: async () => {
      const failed = state === 'failed';
      stopping.abort();
      const running = child;
      if (running) {
        enter('stopping');
        options.onEvent({ type: 'stopping', name: spec.name });
        const { killed } = await running.stop();
        options.onEvent({ type: 'stopped', name: spec.name, killed });
      }
      await loopEnded;
      // A start that was under way when the stop came has a child by now.
      if (child && child !== running) await child.stop();
      child = undefined;
      firstReady.reject(new Error(`${spec.name} was stopped before it was ready`));
      enter(failed ? 'failed' : 'stopped');
      log.close();
    },
  };
}

/** Asks until the process serves; answers the last reason when the time is over, undefined when it serves. */
async function untilReady(spec: ProcessSpec, signal: AbortSignal): Promise<string | undefined> {
  const deadline = Date.now() + spec.readyTimeoutMs;
  let tries = 0;
  for (;;) {
    try {
      await spec.ready(signal);
      return undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (signal.aborted || Date.now() > deadline) return reason;
      tries += 1;
      await pause(tries < 40 ? POLL_MS : SLOW_POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
