/** Embeddings by any server that speaks OpenAI's `/embeddings`. */
import { type Embedder, vectorDims } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import { z } from 'zod';
import { type JsonServer, postJson } from './http-json.ts';
import { storedVector } from './vectors.ts';

export interface OpenAiEmbedderOptions extends JsonServer {
  readonly model: string;
}

const batchMax = 96;
const answerSchema = z.object({ data: z.array(z.object({ index: z.int().min(0), embedding: z.array(z.number()) })) });

/** Asks the server once for the length of its vectors. Throws DEPENDENCY_UNAVAILABLE or TIMEOUT, also when its vectors cannot be stored. */
export async function openAiEmbedder(options: OpenAiEmbedderOptions): Promise<Embedder> {
  const raw = async (texts: readonly string[], signal?: AbortSignal): Promise<readonly (readonly number[])[]> => {
    // Servers refuse an empty text.
    const input = texts.map((text) => (text === '' ? ' ' : text));
    const answer = answerSchema.safeParse(
      await postJson({ ...options, signal }, 'embeddings', { model: options.model, input, encoding_format: 'float' }),
    );
    if (!answer.success) throw broken(`something else than embeddings: ${answer.error.message}`);
    const vectors = answer.data.data.toSorted((a, b) => a.index - b.index);
    if (vectors.length !== texts.length || vectors.some(({ index }, at) => index !== at)) {
      throw broken(`${vectors.length} vectors for ${texts.length} texts`);
    }
    return vectors.map(({ embedding }) => embedding);
  };
  const dims = (await raw(['dimensions']))[0]?.length ?? 0;
  if (dims < 1 || dims > vectorDims) throw broken(`vectors of ${dims} numbers; 1 to ${vectorDims} can be stored`);

  return {
    modelId: options.model,
    dims,
    // Models behind this protocol take thousands of tokens; a page of text is a good unit of meaning.
    window: { chars: 2_000, piecesMax: 64 },
    async embed(texts, signal) {
      const vectors: Float32Array[] = [];
      for (let from = 0; from < texts.length; from += batchMax) {
        for (const vector of await raw(texts.slice(from, from + batchMax), signal)) {
          if (vector.length !== dims) throw broken(`vectors of ${vector.length} numbers, after ${dims} before`);
          vectors.push(storedVector(vector));
        }
      }
      return vectors;
    },
    async close() {},
  };
}

function broken(what: string): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', { detail: `the embedding server answered ${what}` });
}
