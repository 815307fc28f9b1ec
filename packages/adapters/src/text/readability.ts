/** How hard a text is to read, by the LIX formula, which holds across languages because it counts no syllables. */

/** LIX of children's books and of dense official prose (Björnsson 1968, Läsbarhet; Anderson 1983, "Lix and Rix"). */
const plain = 20;
const dense = 60;

/** 1 (plain) to 10 (dense), one decimal: LIX = words ÷ sentences + 100 × words of more than 6 letters ÷ words. 1 for a text without words. */
export function complexityScore(words: readonly string[], sentenceCount: number): number {
  if (words.length === 0) return 1;
  const long = words.filter((word) => word.length > 6).length;
  const lix = words.length / Math.max(1, sentenceCount) + (100 * long) / words.length;
  const score = 1 + (9 * (lix - plain)) / (dense - plain);
  return Math.round(Math.min(10, Math.max(1, score)) * 10) / 10;
}
