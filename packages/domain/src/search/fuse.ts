/** Reciprocal-rank fusion of several rankings. */

/** Damps the weight of the very first ranks (Cormack, Clarke and Büttcher, SIGIR 2009, who found 60 best). */
const k = 60;

/** Ids with their fused score, Σ 1 / (k + rank), best first; ranks start at 1. */
export function fuse(rankings: readonly (readonly string[])[]): { id: string; score: number }[] {
  const scores = new Map<string, number>();
  for (const ranking of rankings) {
    for (const [index, id] of ranking.entries()) scores.set(id, (scores.get(id) ?? 0) + 1 / (k + index + 1));
  }
  return [...scores].map(([id, score]) => ({ id, score })).sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
}
