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
 * A file that cannot be read, and one whose title another file has already, is refused.
 */
export async function importFiles(options: ImportOptions): Promise<ImportResult> {
  const { client, projectId, signal, onProgress } = options;
  const refused = new Map<string, string>();
  const files = distinct(options.files, refused);
  let present: number | undefined;
  let awaySince: number | undefined;

  for (;;) {
    try {
      const titles = await titlesOf(client, projectId, signal);
      const missing = files.filter((file) => !titles.has(stored(file.title)) && !refused.has(file.title));
      present ??= files.length - missing.length;
      if (missing.length === 0)
        return {
          // Counted from what the project holds: a call without an answer may have been carried out all the same.
          created: options.files.length - refused.size - present,
          present,
          refused: [...refused].map(([title, reason]) => ({ title, reason })),
        };
      let done = files.length - missing.length;
      await inParallel(missing, options.concurrency, async (file) => {
        signal.throwIfAborted();
        const content = await readText(file).catch((thrown: unknown) => {
          refused.set(file.title, `it cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
        });
        try {
          if (content !== undefined)
            await client.documents.create.mutate({ projectId, title: file.title, content }, { signal });
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

/** A title as the API keeps it: without white space around it. */
const stored = (title: string): string => title.trim();

/** The first file of each title; the others are refused. */
function distinct(files: readonly SourceFile[], refused: Map<string, string>): SourceFile[] {
  const first = new Map<string, SourceFile>();
  for (const file of files) {
    const other = first.get(stored(file.title));
    if (other === undefined) first.set(stored(file.title), file);
    else refused.set(file.title, `“${other.title}” has the same title`);
  }
  return [...first.values()];
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
