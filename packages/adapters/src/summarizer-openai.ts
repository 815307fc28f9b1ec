/** Summaries by a language model. */
import { aiSummarySchema } from '@novax/contracts/ai-metadata';
import type { Summarizer, SummaryRequest } from '@novax/domain/ports';
import { type ChatServer, askModel } from './language-model.ts';

/** Characters of a document that are sent; some 6,000 tokens. */
const sentMax = 24_000;

const answerSchema = aiSummarySchema.omit({ generated_at: true, model: true }).extend({
  summary: aiSummarySchema.shape.summary.min(1).max(4000),
  key_topics: aiSummarySchema.shape.key_topics.max(20),
});

/** A summarizer on a chat server. The document is untrusted: the model gets no tools, and its answer is parsed and bounded. */
export function openAiSummarizer(server: ChatServer): Summarizer {
  return {
    modelId: server.model,
    async summarize(request, signal) {
      const material = `${request.title}\n\n${request.content.slice(0, sentMax)}`;
      return {
        ...(await askModel({ ...server, signal }, { task: taskOf(request), material, answer: answerSchema })),
        model: server.model,
      };
    },
  };
}

/** Instructions come from the project's members: they may choose style and language, as plain words of bounded length. */
function taskOf({ instructions }: SummaryRequest): string {
  const wishes = [
    ['style', instructions?.summarization_style],
    ['language', instructions?.language],
    ['format', instructions?.response_format],
    ['what matters most', instructions?.context_window_priority.join(', ')],
  ].filter(([, wish]) => wish);
  return [
    'Summarize the document for somebody who has not read it. `complexity_score` is 1 (plain) to 10 (dense); `confidence` is how sure you are, 0 to 1.',
    ...wishes.map(([name, wish]) => `Wished ${name}: ${JSON.stringify(wish)}.`),
  ].join('\n');
}
