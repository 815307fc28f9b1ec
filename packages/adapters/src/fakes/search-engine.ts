/** A search engine in memory: documents that hold every word asked for, best by how often. */
import type { SearchDocument, SearchEngine } from '@novax/domain/ports';

/** An empty index of its own. */
export function fakeSearchEngine(): SearchEngine {
  const documents = new Map<string, SearchDocument>();
  return {
    name: 'fake',
    async ensureIndex() {},
    async upsert(added) {
      for (const document of added) documents.set(document.id, document);
    },
    async remove(ids) {
      for (const id of ids) documents.delete(id);
    },
    async query({ organizationId, q, projectId, limit }) {
      const wanted = wordsIn(q);
      return [...documents.values()]
        .filter(
          (document) =>
            document.organizationId === organizationId && (projectId === null || document.projectId === projectId),
        )
        .map((document) => ({
          id: document.id,
          score: scoreOf(document, wanted),
          snippet: document.content.slice(0, 200),
        }))
        .filter(({ score }) => score > 0)
        .toSorted((a, b) => b.score - a.score)
        .slice(0, limit);
    },
    async ping() {},
  };
}

function wordsIn(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** 0 to 1: 0 when a word is missing; the title counts ten times. */
function scoreOf(document: SearchDocument, wanted: readonly string[]): number {
  const title = wordsIn(document.title);
  const words = [...Array(10).fill(title).flat(), ...wordsIn(document.content)];
  const counts = wanted.map((word) => words.filter((found) => found.startsWith(word)).length);
  if (counts.includes(0)) return 0;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return wanted.length === 0 ? 1 : total / (total + 10);
}
