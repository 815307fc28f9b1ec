/** Cuts a document into the pieces that an embedding model is asked about. */
import type { Embedder } from '../ports.ts';
import { proseOf } from '../prose.ts';

export interface Chunk {
  /** First character of the piece in the content. */
  readonly from: number;
  /** One past the last. */
  readonly to: number;
  /** What is embedded: the title, then the piece, so that a piece keeps its subject. */
  readonly text: string;
}

/** Share of a piece that the next one repeats, so that a sentence cut in two stands whole in one of them. */
const overlap = 0.15;

/**
 * The pieces of a document's prose in order, cut at paragraph, line or word ends where there are any; one piece for an empty content.
 * A document of more pieces than the model is worth asking about is sampled evenly, its beginning always included.
 */
export function chunksOf(
  document: { readonly title: string; readonly content: string },
  window: Embedder['window'],
): Chunk[] {
  const prose = proseOf(document.content);
  const content = prose.text;
  const ranges: { from: number; to: number }[] = [];
  let from = 0;
  for (;;) {
    const to = from + window.chars >= content.length ? content.length : cut(content, from, window.chars);
    ranges.push({ from, to });
    if (to === content.length) break;
    from = Math.max(to - Math.floor(window.chars * overlap), from + 1);
    const unit = content.charCodeAt(from);
    if (unit >= 0xdc00 && unit <= 0xdfff) from += 1;
  }
  return sample(ranges, window.piecesMax).map((range) => ({
    from: prose.at(range.from),
    to: prose.at(range.to),
    text: `${document.title}\n${content.slice(range.from, range.to)}`,
  }));
}

function sample<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  const step = items.length / most;
  return items.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

/** Where a piece that begins at `from` had best end: the last paragraph, else line, else word end in its second half. */
function cut(content: string, from: number, size: number): number {
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
  for (const vector of vectors)
    for (let index = 0; index < mean.length; index++) mean[index] = (mean[index] ?? 0) + (vector[index] ?? 0);
  const norm = Math.hypot(...mean) || 1;
  return mean.map((value) => value / norm);
}
