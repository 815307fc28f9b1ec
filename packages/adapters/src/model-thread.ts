/** One worker thread that holds an embedding model: started when first needed, replaced when it dies or hangs. */
import { Worker } from 'node:worker_threads';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';

export interface ModelThread {
  /** The model's own vectors, in order; one call at a time. Throws DEPENDENCY_UNAVAILABLE or TIMEOUT. */
  run(texts: readonly string[]): Promise<readonly Float32Array[]>;
  close(): Promise<void>;
}

interface Answer {
  readonly id: number;
  readonly vectors?: readonly Float32Array[];
  readonly error?: string;
}

interface InHand {
  readonly id: number;
  readonly timer: NodeJS.Timeout;
  resolve(vectors: readonly Float32Array[]): void;
  reject(error: Error): void;
}

/** A thread for `script`, which answers `{ id, texts }` with `{ id, vectors }` or `{ id, error }`. */
export function modelThread(options: {
  readonly script: URL;
  readonly log: Logger;
  readonly timeoutMs: number;
}): ModelThread {
  let worker: Worker | undefined;
  let inHand: InHand | undefined;
  let lastId = 0;

  const takeInHand = (): InHand | undefined => {
    const taken = inHand;
    inHand = undefined;
    if (taken) clearTimeout(taken.timer);
    return taken;
  };
  const start = (): Worker => {
    // Flags of the parent (a test runner's loader, say) must not reach the thread.
    const started = new Worker(options.script, { execArgv: [], name: 'novax-embedder' });
    const lost = (error: Error): void => {
      if (worker !== started) return;
      worker = undefined;
      options.log.error({ err: error }, 'embedding thread ended; the next text starts another');
      takeInHand()?.reject(
        new AppError('DEPENDENCY_UNAVAILABLE', { cause: error, detail: `embedding thread ended: ${error.message}` }),
      );
    };
    started.on('message', (answer: Answer) => {
      if (answer.id !== inHand?.id) return;
      if (answer.vectors) takeInHand()?.resolve(answer.vectors);
      else
        takeInHand()?.reject(new AppError('DEPENDENCY_UNAVAILABLE', { detail: `embedding failed: ${answer.error}` }));
    });
    started.on('error', lost);
    started.on('exit', (code) => lost(new Error(`exit code ${code}`)));
    // A process that has nothing else to do may end; texts in hand keep it alive by their timer.
    started.unref();
    return started;
  };
  const replace = (): void => {
    const hung = worker;
    worker = undefined;
    void hung?.terminate();
    options.log.error({ timeoutMs: options.timeoutMs }, 'embedding thread did not answer; replaced');
    takeInHand()?.reject(new AppError('TIMEOUT', { detail: `embedding took longer than ${options.timeoutMs} ms` }));
  };

  return {
    run(texts) {
      return new Promise((resolve, reject) => {
        const id = ++lastId;
        inHand = { id, timer: setTimeout(replace, options.timeoutMs), resolve, reject };
        worker ??= start();
        worker.postMessage({ id, texts });
      });
    },
    async close() {
      const ending = worker;
      worker = undefined;
      takeInHand()?.reject(new AppError('DEPENDENCY_UNAVAILABLE', { detail: 'the embedder is closed' }));
      await ending?.terminate();
    },
  };
}
