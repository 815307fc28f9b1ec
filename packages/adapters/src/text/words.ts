/** Words, sentences and the words that carry no topic, in English and Indonesian. */

export type Language = 'en' | 'id';

const stopWords: Readonly<Record<Language, ReadonlySet<string>>> = {
  en: setOf(`a about above after again against all also am an and any are aren't as at be because been before being below between both but by can cannot
    could couldn't did didn't do does doesn't doing don't down during each either else etc even every few for from further get gets got had has have haven't having he her
    here hers him his how however i if in into is isn't it it's its itself just let like may me might more most much must my need neither no nor not note
    now of off often on once one only or other our ours out over own per please rather same see set shall she should since so some still such than that that's the
    their theirs them themselves then there therefore these they this those through thus to too under until up upon us use used uses using very via was wasn't we
    were what when where whether which while who whom whose why will with within without won't would yet you your yours yourself`),
  id: setOf(`ada adalah adanya agar akan aku anda antara apa apabila apakah atas atau bagai bagaimana bagi bahkan bahwa baik banyak baru beberapa begitu belum
    berada beserta bila bisa boleh bukan cara cukup dalam dan dapat dari daripada dengan di dia dilakukan dua harus hal hanya hingga ia ialah ingin ini itu
    jadi jika juga kalau kami kamu karena ke kecuali kembali kemudian kepada ketika kita lagi lain lainnya lalu lebih maka manusia mana masih masing
    melainkan melalui memang mereka merupakan meskipun mungkin namun nanti oleh pada para paling per pernah pula pun saat saja saling sama sambil sampai
    sangat satu saya se sebagai sebelum sebuah secara sedang sehingga sejak sekali selain selalu selama seluruh semua sementara seorang seperti sering serta
    sesuatu sesudah setelah setiap siapa suatu sudah supaya tanpa tapi telah tentang tentu terhadap terlalu termasuk ternyata tersebut terus tetap tetapi tiap tidak
    tiga untuk usai walaupun yaitu yakni yang`),
};

function setOf(words: string): ReadonlySet<string> {
  return new Set(words.split(/\s+/));
}

/** Lower-case words in order, apostrophes and inner hyphens kept. */
export function wordsOf(text: string): string[] {
  return (
    text
      .toLowerCase()
      .replaceAll('’', "'")
      .match(/\p{L}[\p{L}\p{N}]*(?:['-][\p{L}\p{N}]+)*/gu) ?? []
  );
}

/** True for words that say what a text is about. */
export function isContentWord(word: string, language: Language): boolean {
  return word.length > 2 && !stopWords[language].has(word);
}

/** Sentences by the rules of Unicode TR29. */
export function sentencesOf(text: string, language: Language): string[] {
  const segments = new Intl.Segmenter(language, { granularity: 'sentence' }).segment(text);
  return Array.from(segments, ({ segment }) => segment.trim()).filter((sentence) => sentence !== '');
}

/** The asked-for language where we know it, else the one whose stop words are more frequent, else English. */
export function languageOf(words: readonly string[], asked: string | undefined): Language {
  const primary = asked?.toLowerCase().split('-')[0];
  if (primary === 'en' || primary === 'id') return primary;
  const count = (language: Language): number => words.filter((word) => stopWords[language].has(word)).length;
  return count('id') > count('en') ? 'id' : 'en';
}

/** How many words two sets share. */
export function sharedCount(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let shared = 0;
  for (const word of one) if (other.has(word)) shared += 1;
  return shared;
}
