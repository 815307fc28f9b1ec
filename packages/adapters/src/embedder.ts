/** Chooses the embedding model by the process's settings. */
import type { Embedder } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { timed } from '@novax/runtime/timed';
import { localEmbedder } from './embedder-local.ts';
import { openAiEmbedder } from './embedder-openai.ts';

/** The settings of the same names. */
export interface EmbedderEnv {
  readonly EMBEDDING_PROVIDER: 'local' | 'openai';
  readonly EMBEDDING_BASE_URL?: string | undefined;
  readonly EMBEDDING_MODEL?: string | undefined;
  readonly EMBEDDING_API_KEY?: string | undefined;
}

export interface EmbedderOptions {
  readonly log: Logger;
  /** Threads of the bundled model. */
  readonly threads?: number;
  /** Milliseconds for one batch. */
  readonly timeoutMs?: number;
  /** Told how long each call took, its waiting included. */
  readonly onEmbed?: (modelId: string, seconds: number) => void;
}

/** The embedder that the settings name. Throws INTERNAL when settings are missing, DEPENDENCY_UNAVAILABLE when the server does not answer. */
export async function createEmbedder(env: EmbedderEnv, options: EmbedderOptions): Promise<Embedder> {
  const embedder = await chosen(env, options);
  const { modelId } = embedder;
  return {
    ...embedder,
    embed: (texts, signal) =>
      timed(
        (seconds) => options.onEmbed?.(modelId, seconds),
        () => embedder.embed(texts, signal),
      ),
  };
}

async function chosen(env: EmbedderEnv, options: EmbedderOptions): Promise<Embedder> {
  if (env.EMBEDDING_PROVIDER === 'local') return localEmbedder(options);
  if (!env.EMBEDDING_BASE_URL || !env.EMBEDDING_MODEL) {
    throw new AppError('INTERNAL', {
      detail: 'EMBEDDING_PROVIDER=openai needs EMBEDDING_BASE_URL and EMBEDDING_MODEL',
    });
  }
  return openAiEmbedder({
    baseUrl: env.EMBEDDING_BASE_URL,
    model: env.EMBEDDING_MODEL,
    timeoutMs: options.timeoutMs ?? 30_000,
    ...(env.EMBEDDING_API_KEY ? { apiKey: env.EMBEDDING_API_KEY } : {}),
  });
}
