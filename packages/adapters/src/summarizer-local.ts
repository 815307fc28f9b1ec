/**
 * Summaries without a language model: the document's own most telling sentences. It needs no network, invents nothing and cannot rephrase,
 * translate or judge: `sentiment` is always neutral, and `language` chooses stop words only.
 */
import type { Summarizer, SummaryRequest } from '@novax/domain/ports';
import { keyTopics } from './text/key-topics.ts';
import { plainBlocks, type TextBlock } from './text/plain.ts';
import { complexityScore } from './text/readability.ts';
import { textRank } from './text/text-rank.ts';
import { isContentWord, languageOf, sentencesOf, sharedCount, wordsOf } from './text/words.ts';

export const localSummarizerId = 'novax-local-extractive-1';

/** Characters of a document that are read; what matters stands early. */
const readMax = 60_000;
/** Sentences that compete; ranking compares each with each. */
const sentencesMax = 150;
const topicsMax = 8;

interface Candidate {
  readonly text: string;
  readonly words: readonly string[];
  readonly bias: number;
}

/**
 * An extractive summarizer: TextRank over the sentences, starting more often at early ones and at those under or with the words of
 * `context_window_priority`. `confidence` is the share of the document's content-word occurrences whose word the summary mentions:
 * 1 says that nothing is left out, 0 that there was nothing to take.
 */
export function localSummarizer(): Summarizer {
  return { modelId: localSummarizerId, summarize: async (request) => summarize(request) };
}

function summarize(request: SummaryRequest): Awaited<ReturnType<Summarizer['summarize']>> {
  const blocks = plainBlocks(request.content.slice(0, readMax));
  const language = languageOf(wordsOf(blocks.map(({ text }) => text).join(' ')), request.instructions?.language);
  const isContent = (word: string): boolean => isContentWord(word, language);
  const sentences = blocks.filter(({ kind }) => kind === 'text').flatMap(({ text }) => sentencesOf(text, language));
  const candidates = candidatesOf(blocks, request, (text) => sentencesOf(text, language));
  const scores = textRank(
    candidates.map(({ words }) => words.filter(isContent)),
    candidates.map(({ bias }) => bias),
  );
  const style = styleOf(request.instructions?.summarization_style);
  const chosen = best(candidates, scores, style.sentences);
  const allWords = sentences.flatMap(wordsOf);
  const said = new Set(chosen.flatMap(wordsOf));
  const content = allWords.filter(isContent);
  return {
    summary:
      chosen.length === 0
        ? request.title
        : style.bullets
          ? chosen.map((text) => `- ${text}`).join('\n')
          : chosen.join(' '),
    key_topics: keyTopics([request.title, ...blocks.map(({ text }) => text)], { language, count: topicsMax }),
    sentiment: 'neutral',
    complexity_score: complexityScore(allWords, sentences.length),
    model: localSummarizerId,
    confidence:
      content.length === 0
        ? 0
        : Math.round((content.filter((word) => said.has(word)).length / content.length) * 100) / 100,
  };
}

/** Sentences that can stand alone: 5 to 50 words, mostly words and not code. */
function candidatesOf(
  blocks: readonly TextBlock[],
  request: SummaryRequest,
  split: (text: string) => string[],
): Candidate[] {
  const wanted = new Set((request.instructions?.context_window_priority ?? []).flatMap(wordsOf));
  const candidates: Candidate[] = [];
  let heading: readonly string[] = [];
  for (const block of blocks) {
    if (block.kind === 'heading') {
      heading = wordsOf(block.text);
      continue;
    }
    for (const text of split(block.text)) {
      const words = wordsOf(text);
      if (words.length < 5 || words.length > 50 || words.join('').length < text.length * 0.6) continue;
      if (candidates.length === sentencesMax) return candidates;
      const favoured = [...heading, ...words].some((word) => wanted.has(word));
      candidates.push({ text, words, bias: (favoured ? 4 : 1) / (1 + candidates.length / 4) });
    }
  }
  return candidates;
}

/** The `count` highest sentences in the document's order; one that mostly repeats a higher one is passed over. */
function best(candidates: readonly Candidate[], scores: readonly number[], count: number): string[] {
  const ranked = [...candidates.entries()].toSorted(([a], [b]) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const chosen: [number, Candidate, Set<string>][] = [];
  for (const [at, candidate] of ranked) {
    if (chosen.length === count) break;
    const words = new Set(candidate.words);
    const repeats = chosen.some(([, , other]) => sharedCount(words, other) > 0.6 * Math.min(words.size, other.size));
    if (!repeats) chosen.push([at, candidate, words]);
  }
  return chosen.toSorted(([a], [b]) => a - b).map(([, { text }]) => text);
}

function styleOf(style = ''): { readonly sentences: number; readonly bullets: boolean } {
  const bullets = /bullet|list|point|poin|daftar/i.test(style);
  if (/brief|short|concise|headline|one.?line|singkat|ringkas/i.test(style))
    return { sentences: bullets ? 3 : 1, bullets };
  if (/detail|long|comprehensive|thorough|lengkap|rinci/i.test(style)) return { sentences: 7, bullets };
  return { sentences: bullets ? 4 : 3, bullets };
}
