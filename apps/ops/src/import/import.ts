/** Imports files as documents through the typed client; doing it again adds only what is missing. */
import type { NovaxClient } from '@novax/client/client';
import { isNovaxError } from '@novax/client/errors';
import { pause } from '@novax/runtime/clock';
import { readText, type SourceFile } from './files.ts';

export interface ImportOptions {
  readonly client: NovaxClient;
  readonly projectId: string;
  readonly files: readonly SourceFile[];
  /** Requests at one time. */
  readonly concurrency: number;
  readonly signal: AbortSignal;
  /** Called after each document; `done` counts those that were there before, too. */
  readonly onProgress: (done: number, total: number) => void;
  /** Called when the API does not answer and the import waits for it. */
  readonly onWait: (reason: string) => void;
}

export interface ImportResult {
  readonly created: number;
  readonly present: number;
  /** Files the API refused, each with why. */
  readonly refused: readonly { readonly title: string; readonly reason: string }[];
}

/** Longest the import waits for an API that is away, milliseconds. */
const patienceMs = 120_000;

/**
 * Creates a document for every file whose title the project has not. A call that failed on the way may or may not have been
 * carried out, so after a break the project is read again before anything is sent again: nothing is lost and nothing comes twice.
 */
export async function importFiles(options: ImportOptions): Promise<ImportResult> {
  const { client, projectId, files, signal, onProgress } = options;
  const refused = new Map<string, string>();
  let created = 0;
  let present: number | undefined;
  let awaySince: number | undefined;

  for (;;) {
    try {
      const titles = await titlesOf(client, projectId, signal);
      const missing = files.filter((file) => !titles.has(file.title) && !refused.has(file.title));
      present ??= files.length - missing.length;
      if (missing.length === 0)
        return { created, present, refused: [...refused].map(([title, reason]) => ({ title, reason })) };
      let done = files.length - missing.length;
      await inParallel(missing, options.concurrency, async (file) => {
        signal.throwIfAborted();
        try {
          await client.documents.create.mutate(
            { projectId, title: file.title, content: await readText(file) },
            { signal },
          );
          created += 1;
        } catch (thrown) {
          if (!isNovaxError(thrown) || thrown.retryable || thrown.code === 'INTERNAL') throw thrown;
          refused.set(file.title, thrown.message);
        }
        awaySince = undefined;
        onProgress(++done, files.length);
      });
    } catch (thrown) {
      signal.throwIfAborted();
      if (isNovaxError(thrown) && !thrown.retryable && thrown.code !== 'INTERNAL') throw thrown;
      awaySince ??= Date.now();
      if (Date.now() - awaySince > patienceMs) throw thrown;
      options.onWait(thrown instanceof Error ? thrown.message : String(thrown));
      await pause(1_000, signal);
    }
  }
}

async function titlesOf(client: NovaxClient, projectId: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const titles = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await client.documents.list.query(
      { projectId, limit: 100, ...(cursor === undefined ? {} : { cursor }) },
      { signal },
    );
    for (const item of page.items) titles.add(item.title);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return titles;
}

/** Runs `work` over the items, some at a time; the first failure stops the rest from starting and is thrown when those in hand ended. */
async function inParallel<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  let stopped = false;
  const running = Array.from({ length: lanes }, async () => {
    for (const item of rest) {
      if (stopped) return;
      await work(item).catch((thrown: unknown) => {
        stopped = true;
        throw thrown;
      });
    }
  });
  await Promise.allSettled(running);
  await Promise.all(running);
}
