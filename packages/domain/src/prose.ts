/** The words of a Markdown text without its machinery, each still knowing where it stood. */

/** What a link's text or an image's alternative may hold here; every length is bounded, so that no text can make the search quadratic. */
const label = String.raw`[^\[\]\n]{0,200}`;
/** Where a link leads, in place or by reference. */
const goal = String.raw`(?:\([^()\s]{0,500}(?:\s[^()\n]{0,200})?\)|\[[^\[\]\n]{0,100}\])`;

/** Badges and images, HTML tags and comments, link targets and definitions, bare addresses: they cost tokens and mean nothing. */
const machinery = new RegExp(
  [
    String.raw`\[!\[${label}\]${goal}\]${goal}`,
    String.raw`!\[${label}\]${goal}`,
    String.raw`\[(?=${label}\]${goal})`,
    String.raw`\]${goal}`,
    String.raw`<!--[\s\S]{0,500}?-->`,
    String.raw`<\/?[a-z][^<>\n]{0,300}>`,
    String.raw`^[ \t]{0,3}\[[^\]\n]{1,100}\]:[ \t]*\S.*$`,
    String.raw`https?:\/\/[^\s)>\]]+`,
  ].join('|'),
  'gim',
);

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
