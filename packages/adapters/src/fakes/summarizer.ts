/** Summaries at no cost: the beginning of the document. */
import type { Summarizer } from '@novax/domain/ports';

/** A summarizer whose answers are easy to foretell. */
export function fakeSummarizer(modelId = 'fake-first-words-1'): Summarizer {
  return {
    modelId,
    async summarize({ title, content }) {
      const words = content.split(/\s+/).filter((word) => word !== '');
      return {
        summary: words.slice(0, 20).join(' ') || title,
        key_topics: title.toLowerCase().split(/\s+/).slice(0, 3),
        sentiment: 'neutral',
        complexity_score: 1,
        model: modelId,
        confidence: words.length === 0 ? 0 : 0.5,
      };
    },
  };
}
