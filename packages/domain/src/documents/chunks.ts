/** Cuts a document into overlapping pieces that an embedding model can take in at once. */

export interface Chunk {
  /** First character of the piece in the content. */
  readonly from: number;
  /** One past the last. */
  readonly to: number;
  /** What is embedded: the title, then the piece, so that a piece keeps its subject. */
  readonly text: string;
}

/** Characters of a piece; about 250 tokens, which sentence encoders take without truncation. */
const size = 1_000;
/** Characters a piece shares with the one before, so that a sentence cut in two stands whole in one of them. */
const overlap = 150;
/** Pieces of one document; the rest of a longer one is found by its words, not by its meaning. */
export const chunksMax = 64;

/** The pieces in order, cut at paragraph, line or word ends where there are any; one piece for an empty content. */
export function chunksOf(title: string, content: string): Chunk[] {
  const chunks: Chunk[] = [];
  let from = 0;
  do {
    const to = from + size >= content.length ? content.length : cut(content, from);
    chunks.push({ from, to, text: `${title}\n${content.slice(from, to)}` });
    if (to === content.length) break;
    from = Math.max(to - overlap, from + 1);
  } while (chunks.length < chunksMax);
  return chunks;
}

/** Where a piece that begins at `from` had best end: the last paragraph, else line, else word end in its second half. */
function cut(content: string, from: number): number {
  const window = content.slice(from, from + size);
  for (const separator of ['\n\n', '\n', ' ']) {
    const at = window.lastIndexOf(separator);
    if (at > size / 2) return from + at + separator.length;
  }
  // Never between the halves of a surrogate pair.
  const last = content.charCodeAt(from + size - 1);
  return from + size - (last >= 0xd800 && last <= 0xdbff ? 1 : 0);
}

/** Mean of vectors of one length, scaled to Euclidean norm 1; stands for the whole. Throws when there are none. */
export function meanVector(vectors: readonly Float32Array[]): Float32Array {
  const [first] = vectors;
  if (first === undefined) throw new Error('no vectors to take the mean of');
  const mean = new Float32Array(first.length);
  for (const vector of vectors) for (let index = 0; index < mean.length; index++) mean[index] = (mean[index] ?? 0) + (vector[index] ?? 0);
  const norm = Math.hypot(...mean) || 1;
  return mean.map((value) => value / norm);
}
