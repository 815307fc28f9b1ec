/** Files that may be replaced while the process runs: keys and certificates. */
import { readFile } from 'node:fs/promises';
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';

export interface WatchedFiles {
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  stop(): void;
}

/**
 * Looks at the files every `everyMs` and hands their contents to `apply` when they differ from the last that were looked at. What `apply` throws is logged, once per
 * contents, and what was there before stays. Read by content, not by time: a mounted secret is a link whose target is exchanged.
 */
export function watchFiles(options: {
  /** What they are, for the log. */
  readonly what: string;
  readonly paths: readonly string[];
  /** The contents the process started with. */
  readonly contents: readonly string[];
  readonly everyMs: number;
  readonly apply: (contents: readonly string[]) => Promise<void> | void;
  readonly log: Logger;
}): WatchedFiles {
  const { what, paths, everyMs, apply, log } = options;
  const stopping = new AbortController();
  let last = fingerprint(options.contents);
  let tail = Promise.resolve();

  async function lookOnce(): Promise<void> {
    try {
      const contents = await Promise.all(paths.map(async (path) => (await readFile(path, 'utf8')).trim()));
      if (fingerprint(contents) === last) return;
      last = fingerprint(contents);
      await apply(contents);
      log.info({ files: paths }, `${what} replaced`);
    } catch (err) {
      const reason = err instanceof Error ? err.message : String(err);
      // A file that is away for a while is told of once, too.
      if (reason === last) return;
      if (isReadFailure(err)) last = reason;
      log.error({ files: paths, reason }, `${what} refused; the old ones stay`);
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      await pause(everyMs, stopping.signal);
      if (stopping.signal.aborted) return;
      await files.look();
    }
  }

  const files: WatchedFiles = {
    look: () => (tail = tail.then(lookOnce)),
    stop: () => stopping.abort(),
  };
  void run();
  return files;
}

function fingerprint(contents: readonly string[]): string {
  return JSON.stringify(contents);
}

function isReadFailure(err: unknown): boolean {
  return err instanceof Error && 'code' in err && 'syscall' in err;
}
