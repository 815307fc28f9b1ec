/** The demonstration of `npm start`: import, wait for the AI, search three ways, and say what happened. */
import type { SearchHit, SearchMode } from '@novax/contracts/api/search';
import { searchModes } from '@novax/contracts/api/search';
import { pause } from '@novax/runtime/clock';
import { join } from 'node:path';
import { CommandFailure, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { packageReadmes } from '../import/files.ts';
import { importFiles, type ImportResult } from '../import/import.ts';
import { demoAccount, type DemoAccount } from './account.ts';
import { openFigures, type Figures, type FiguresReader } from './figures.ts';

const questions: Readonly<Record<SearchMode, string>> = {
  fulltext: 'retry backoff',
  semantic: 'read a zip archive',
  hybrid: 'connect to a PostgreSQL database',
};
/** Longest the enrichment may take before the demonstration says that something is wrong, milliseconds. */
const enrichWithinMs = 180_000;

export interface Search {
  readonly mode: SearchMode;
  readonly q: string;
  readonly engine: string;
  readonly degraded: boolean;
  readonly tookMs: number;
  /** Round trip through the typed client, milliseconds. */
  readonly roundTripMs: number;
  readonly hits: readonly SearchHit[];
}

export interface Demonstration {
  readonly account: Pick<DemoAccount, 'email' | 'organizationId' | 'projectId' | 'file'>;
  readonly imported: ImportResult;
  readonly importMs: number;
  /** From the end of the import until every document could be found by meaning. */
  readonly searchableAfterMs: number;
  readonly searches: readonly Search[];
  readonly figures: Figures;
}

/** Runs it against a ready stack. Throws `CommandFailure` when a document is not embedded in time. */
export async function demonstrate(
  context: CommandContext,
  stack: { readonly apiUrl: string; readonly backupUrl: string; readonly documents: number },
): Promise<Demonstration> {
  const account = await demoAccount({ url: stack.apiUrl, dir: context.dir });
  const files = await packageReadmes(join(context.checkout, 'node_modules'), stack.documents);
  const started = performance.now();
  const bar = context.out.progress('import');
  const imported = await importFiles({
    client: account.client,
    projectId: account.projectId,
    files,
    concurrency: 4,
    signal: context.signal,
    onProgress: (done, total) => bar.update(`${done}/${total} documents`, done / total),
    onWait: (reason) => bar.line(`  waiting for the API: ${reason}`),
  });
  const importMs = performance.now() - started;
  bar.done(
    `${imported.created} documents imported, ${imported.present} were there already, in ${humanDuration(importMs)}`,
  );

  await using reader = openFigures(stack.backupUrl);
  const waited = performance.now();
  await untilEnriched(context, reader, account);
  const searchableAfterMs = performance.now() - waited;
  const searches: Search[] = [];
  for (const mode of searchModes) searches.push(await search(account, mode));
  const figures = await reader.read(account);
  const { email, organizationId, projectId, file } = account;
  return {
    account: { email, organizationId, projectId, file },
    imported,
    importMs,
    searchableAfterMs,
    searches,
    figures,
  };
}

async function untilEnriched(context: CommandContext, reader: FiguresReader, account: DemoAccount): Promise<void> {
  const bar = context.out.progress('enrich');
  const deadline = performance.now() + enrichWithinMs;
  for (;;) {
    // A database that dies under the demonstration is started again; until then there is nothing to count.
    const figures = await reader.read(account).catch((thrown: unknown) => explain(thrown));
    if (typeof figures === 'string') bar.update(`waiting for the database: ${figures}`);
    else {
      const { documents, embedded, summarized, eventsPending } = figures;
      bar.update(
        `${embedded}/${documents} embedded, ${summarized} summarized`,
        (embedded + summarized) / Math.max(2 * documents, 1),
      );
      if (embedded === documents && summarized === documents && eventsPending === 0) {
        return bar.done(`${documents} documents embedded and summarized, no event pending`);
      }
    }
    if (performance.now() > deadline) {
      bar.fail(typeof figures === 'string' ? figures : whatIsMissing(figures));
      throw new CommandFailure('not everything was enriched in time', { hint: 'see: npx novax logs workers' });
    }
    await pause(200, context.signal);
    context.signal.throwIfAborted();
  }
}

const explain = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function whatIsMissing({ documents, embedded, summarized, eventsPending }: Figures): string {
  return `${embedded} of ${documents} embedded, ${summarized} summarized, ${eventsPending} events pending`;
}

async function search(account: DemoAccount, mode: SearchMode): Promise<Search> {
  const q = questions[mode];
  const input = { organizationId: account.organizationId, q, mode, limit: 3 };
  // The first call of a process loads statements and model; the second is what a user meets.
  await account.client.search.query.query(input);
  const started = performance.now();
  const answer = await account.client.search.query.query(input);
  return { mode, q, ...answer, roundTripMs: performance.now() - started };
}
