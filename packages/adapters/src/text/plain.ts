/** Markdown as blocks of plain text: what a reader would read aloud. */

export interface TextBlock {
  readonly kind: 'heading' | 'text';
  readonly text: string;
}

/** Headings, paragraphs and list items in order, without code blocks, tables, images, HTML and marks. */
export function plainBlocks(markdown: string): TextBlock[] {
  const blocks: TextBlock[] = [];
  let lines: string[] = [];
  let fence = '';
  const end = (): void => {
    const text = withoutMarks(lines.join(' '));
    if (text !== '') blocks.push({ kind: 'text', text });
    lines = [];
  };
  for (const line of withoutComments(markdown).split(/\r?\n/)) {
    const mark = /^\s{0,3}(`{3,}|~{3,})/.exec(line)?.[1]?.slice(0, 3);
    if (mark !== undefined && (fence === '' || fence === mark)) {
      end();
      fence = fence === '' ? mark : '';
      continue;
    }
    if (fence !== '') continue;
    const heading = /^\s{0,3}#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    const item = /^\s*(?:[-*+]|\d{1,3}[.)])\s+(.*)$/.exec(line)?.[1];
    const quoted = line.replace(/^\s*>\s?/, '');
    if (heading !== undefined) {
      end();
      const text = withoutMarks(heading);
      if (text !== '') blocks.push({ kind: 'heading', text });
    } else if (item !== undefined) {
      end();
      lines.push(item);
    } else if (
      quoted.trim() === '' ||
      /^\s*\|/.test(line) ||
      /^\s*[-=*_\s]{3,}$/.test(line) ||
      /^\s*\[[^\]]+\]:\s/.test(line) ||
      /^(?: {4}|\t)/.test(line)
    ) {
      end();
    } else lines.push(quoted);
  }
  end();
  return blocks;
}

function withoutComments(markdown: string): string {
  const [first = '', ...rest] = markdown.split('<!--');
  return first + rest.map((part) => (part.includes('-->') ? part.slice(part.indexOf('-->') + 3) : part)).join('');
}

/** Lengths are bounded so that text full of open brackets costs no more than other text. */
function withoutMarks(text: string): string {
  return text
    .replace(/!\[[^[\]]{0,300}\](?:\([^()]{0,500}\)|\[[^[\]]{0,100}\])/g, ' ')
    .replace(/\[([^[\]]{0,300})\](?:\([^()]{0,500}\)|\[[^[\]]{0,100}\])/g, '$1')
    .replace(/<\/?[a-z][^<>]{0,500}>/gi, ' ')
    .replace(/<?https?:\/\/\S+/gi, ' ')
    .replace(/[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}/g, '')
    .replace(/&nbsp;/g, ' ')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .trim();
}
