/** Key phrases by RAKE (Rose, Engel, Cramer and Cowley 2010, "Automatic keyword extraction from individual documents"). */
import { isContentWord, type Language, sharedCount } from './words.ts';

const phraseWordsMax = 3;

/**
 * Runs of content words between stop words and punctuation, best first, at most `count`. A word scores degree ÷ frequency, a phrase the sum of
 * its words; phrases that recur weigh more by 1 + ln(times), since a short document has many chance phrases.
 */
export function keyTopics(
  sentences: readonly string[],
  options: { readonly language: Language; readonly count: number },
): string[] {
  const times = new Map<string, number>();
  for (const sentence of sentences) {
    for (const phrase of phrasesOf(sentence, options.language)) times.set(phrase, (times.get(phrase) ?? 0) + 1);
  }
  const frequency = new Map<string, number>();
  const degree = new Map<string, number>();
  for (const [phrase, count] of times) {
    const words = phrase.split(' ');
    for (const word of words) {
      frequency.set(word, (frequency.get(word) ?? 0) + count);
      degree.set(word, (degree.get(word) ?? 0) + count * words.length);
    }
  }
  const scored = [...times].map(([phrase, count]) => {
    const sum = phrase
      .split(' ')
      .reduce((total, word) => total + (degree.get(word) ?? 0) / (frequency.get(word) ?? 1), 0);
    // A word said once is a weaker topic than one that returns.
    const returning = phrase.split(' ').reduce((most, word) => Math.max(most, frequency.get(word) ?? 0), 0);
    return { phrase, score: sum * (1 + Math.log(count)) * Math.log(1 + returning) };
  });
  const topics: string[] = [];
  for (const { phrase } of scored.toSorted((a, b) => b.score - a.score || a.phrase.localeCompare(b.phrase))) {
    if (topics.length === options.count) break;
    if (!topics.some((topic) => sharesMostWords(topic, phrase))) topics.push(phrase);
  }
  return topics;
}

function phrasesOf(sentence: string, language: Language): string[] {
  const phrases: string[] = [];
  for (const clause of sentence
    .toLowerCase()
    .replaceAll('’', "'")
    .split(/[^\p{L}\p{N}'\s-]+/u)) {
    let run: string[] = [];
    const end = (): void => {
      if (run.length > 0 && run.length <= phraseWordsMax) phrases.push(run.join(' '));
      run = [];
    };
    for (const word of clause.split(/\s+/)) {
      const bare = word.replace(/^['-]+|['-]+$/g, '');
      if (/^\p{L}/u.test(bare) && isContentWord(bare, language)) run.push(bare);
      else end();
    }
    end();
  }
  return phrases;
}

function sharesMostWords(one: string, other: string): boolean {
  const [a, b] = [new Set(one.split(' ')), new Set(other.split(' '))];
  return sharedCount(a, b) >= Math.min(a.size, b.size);
}
