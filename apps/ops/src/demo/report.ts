/** Prints a demonstration for people. */
import type { CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import type { Demonstration, Search } from './demonstration.ts';

/** Answers with scores and times, then the table of what happened. */
export function printDemonstration(out: CommandContext['out'], demonstration: Demonstration): void {
  for (const search of demonstration.searches) printSearch(out, search);
  const { figures, importMs, searchableAfterMs, imported } = demonstration;
  const both = (p50: number | null, p95: number | null): string =>
    p50 === null || p95 === null ? '–' : `${humanDuration(p50)} / ${humanDuration(p95)}`;
  out.line();
  out.table(
    ['what happened', ''],
    [
      ['documents', `${figures.documents} (${imported.created} imported now in ${humanDuration(importMs)})`],
      ['searchable after the import', humanDuration(searchableAfterMs)],
      ['embeddings', `${figures.embedded} documents, ${figures.vectors} vectors`],
      ['summaries', String(figures.summarized)],
      ['events published', String(figures.eventsPublished)],
      ['events pending / failed', `${figures.eventsPending} / ${figures.eventsFailed}`],
      ['dead letters', String(figures.deadLetters)],
      ['audit rows', String(figures.auditRows)],
      ['commit → stream, p50 / p95', both(figures.publishP50Ms, figures.publishP95Ms)],
      ['commit → vectors, p50 / p95', both(figures.embedP50Ms, figures.embedP95Ms)],
    ],
  );
  for (const { title, reason } of imported.refused) out.note(`refused: ${title}: ${reason}`);
}

function printSearch(out: CommandContext['out'], search: Search): void {
  const { bold, dim } = out.colors;
  out.line();
  const lesser = search.degraded ? ', degraded: no search engine is configured' : '';
  out.line(
    `${bold(search.mode)}  “${search.q}”  ${dim(`${search.engine}${lesser}; ${search.tookMs} ms in the API, ${search.roundTripMs.toFixed(1)} ms round trip`)}`,
  );
  if (search.hits.length === 0) out.line('  nothing found');
  for (const hit of search.hits) {
    out.line(`  ${hit.score.toFixed(3)}  ${bold(hit.title)}`);
    out.line(`         ${dim(hit.snippet.replaceAll(/\s+/g, ' ').trim().slice(0, 110))}`);
  }
}

/** Where everything is. */
export function printPlaces(
  out: CommandContext['out'],
  urls: Readonly<Record<string, string>>,
  demonstration: Demonstration,
): void {
  out.line();
  out.table(
    ['where', ''],
    [
      ...Object.entries(urls),
      ['signed in as', `${demonstration.account.email} (password in ${demonstration.account.file})`],
    ],
  );
}
