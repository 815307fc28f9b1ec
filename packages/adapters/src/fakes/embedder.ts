/** Vectors without a model: texts that share words point the same way, which is all that tests of search need. */
import { createHash } from 'node:crypto';
import type { Embedder } from '@novax/domain/ports';
import { storedVector } from '../vectors.ts';

const dims = 256;

/** A bag-of-words embedder by feature hashing (Weinberger et al. 2009, arXiv:0902.2206); deterministic. */
export function fakeEmbedder(modelId = 'fake-bag-of-words-1'): Embedder {
  return {
    modelId,
    dims,
    window: { chars: 600, piecesMax: 4 },
    async embed(texts) {
      return texts.map((text) => storedVector(bagOfWords(text)));
    },
    async close() {},
  };
}

function bagOfWords(text: string): Float64Array {
  const counts = new Float64Array(dims);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['']) {
    const hash = createHash('sha1').update(word).digest();
    counts[hash.readUInt16BE(0) % dims] = (counts[hash.readUInt16BE(0) % dims] ?? 0) + 1;
  }
  return counts;
}
