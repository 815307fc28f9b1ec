/** Chooses the summarizer by the process's settings. */
import type { Summarizer } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import type { Logger } from '@novax/runtime/log';
import { localSummarizer } from './summarizer-local.ts';
import { openAiSummarizer } from './summarizer-openai.ts';

/** The settings of the same names. */
export interface SummarizerEnv {
  readonly LANGUAGE_MODEL_PROVIDER: 'local' | 'openai';
  readonly LANGUAGE_MODEL_BASE_URL?: string | undefined;
  readonly LANGUAGE_MODEL_MODEL?: string | undefined;
  readonly LANGUAGE_MODEL_API_KEY?: string | undefined;
}

/** The summarizer that the settings name. Throws INTERNAL when settings are missing. */
export function createSummarizer(
  env: SummarizerEnv,
  options: { readonly log: Logger; readonly timeoutMs?: number },
): Summarizer {
  if (env.LANGUAGE_MODEL_PROVIDER === 'local') return localSummarizer();
  if (!env.LANGUAGE_MODEL_BASE_URL || !env.LANGUAGE_MODEL_MODEL) {
    throw new AppError('INTERNAL', {
      detail: 'LANGUAGE_MODEL_PROVIDER=openai needs LANGUAGE_MODEL_BASE_URL and LANGUAGE_MODEL_MODEL',
    });
  }
  options.log.info({ model: env.LANGUAGE_MODEL_MODEL }, 'documents are sent to a language model for their summaries');
  return openAiSummarizer({
    baseUrl: env.LANGUAGE_MODEL_BASE_URL,
    model: env.LANGUAGE_MODEL_MODEL,
    timeoutMs: options.timeoutMs ?? 60_000,
    ...(env.LANGUAGE_MODEL_API_KEY ? { apiKey: env.LANGUAGE_MODEL_API_KEY } : {}),
  });
}
