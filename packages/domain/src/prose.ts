/** The words of a Markdown text without its machinery, each still knowing where it stood. */

/** Images and badges, HTML tags and comments, link targets and definitions, bare addresses: they cost tokens and mean nothing. */
const machinery =
  /!\[[^\]]*\]\([^)]*\)|<!--[\s\S]*?-->|<\/?[a-z][^>\n]*>|\]\([^)\s]*\)|^\s*\[[^\]]+\]:\s*\S+.*$|https?:\/\/[^\s)>\]]+/gim;

export interface Prose {
  readonly text: string;
  /** Where the character at an index of `text` stands in the original; for the length itself, the original's length. */
  at(index: number): number;
}

/** Leaves the machinery out. */
export function proseOf(markdown: string): Prose {
  let text = '';
  /** Pairs of an index in `text` and what to add to it from there on. */
  const shifts: { from: number; by: number }[] = [{ from: 0, by: 0 }];
  let end = 0;
  for (const found of markdown.matchAll(machinery)) {
    text += markdown.slice(end, found.index);
    end = found.index + found[0].length;
    shifts.push({ from: text.length, by: end - text.length });
  }
  text += markdown.slice(end);
  return {
    text,
    at: (index) =>
      index >= text.length ? markdown.length : index + (shifts.findLast((shift) => shift.from <= index)?.by ?? 0),
  };
}
