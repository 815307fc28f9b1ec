/** TextRank (Mihalcea and Tarau 2004, "TextRank: Bringing Order into Text"): sentences that say what the others say rank high. */

import { sharedCount } from './words.ts';

const damping = 0.85;
const rounds = 40;

/**
 * A score per sentence, summing to about 1. `bias` is where the random reader starts again (Haveliwala 2002, topic-sensitive PageRank);
 * the plain method starts anywhere alike.
 */
export function textRank(sentences: readonly (readonly string[])[], bias: readonly number[]): number[] {
  const weights = similarities(sentences);
  const total = weights.map((row) => row.reduce((sum, weight) => sum + weight, 0));
  const biasTotal = bias.reduce((sum, weight) => sum + weight, 0) || 1;
  const start = bias.map((weight) => weight / biasTotal);
  let scores = [...start];
  for (let round = 0; round < rounds; round++) {
    scores = scores.map((_, to) => {
      let received = 0;
      for (const [from, row] of weights.entries()) {
        const outgoing = total[from] ?? 0;
        if (outgoing > 0) received += ((row[to] ?? 0) / outgoing) * (scores[from] ?? 0);
      }
      return (1 - damping) * (start[to] ?? 0) + damping * received;
    });
  }
  return scores;
}

/** Shared words over the sum of the logarithms of both lengths, as in the paper. */
function similarities(sentences: readonly (readonly string[])[]): number[][] {
  const sets = sentences.map((words) => new Set(words));
  return sets.map((one, at) =>
    sets.map((other, otherAt) => {
      if (at === otherAt) return 0;
      const lengths = Math.log(one.size + 1) + Math.log(other.size + 1);
      return lengths === 0 ? 0 : sharedCount(one, other) / lengths;
    }),
  );
}
