/** Finds the paths of this repository that a Markdown document cites. */

const ROOMS = /^(packages|apps|infra|migrations|tests|bench|bin|docs|[.]ci|[.]github)(\/|$)/;
const ROOT_FILE = /^[.]?[\w-]+([.][\w-]+)*[.](md|json|jsonc|yml|yaml|toml|mjs|cjs|ts|lock)$/;

/**
 * The cited paths, in order, without duplicates: code spans that name a folder or file from the root, and the targets of relative links.
 * `a/{b,c}` counts as two paths, a trailing `:12` is a line number, and a span with a placeholder (`<name>`, `…`) cites nothing.
 */
export function citedPaths(markdown: string): string[] {
  const prose = markdown.replaceAll(/^(```|~~~)[\s\S]*?^\1.*$/gm, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  const fromSpans = spans.filter((span) => !/[\s<>…$]|[.]{3}/.test(span)).map((span) => span.replace(/:\d+$/, ''));
  const fromLinks = links.filter((link) => !/^([a-z]+:|#|\/)/.test(link)).map((link) => link.replace(/#.*$/, ''));
  const paths = [
    ...fromSpans
      .flatMap(expandBraces)
      .map(fromRoot)
      .filter((path) => ROOMS.test(path) || ROOT_FILE.test(path)),
    ...fromLinks.map(fromRoot),
  ];
  return [...new Set(paths)];
}

function fromRoot(path: string): string {
  return path.replace(/^[.]\//, '');
}

function expandBraces(path: string): string[] {
  const match = /^(.*?)\{([^{}]+)\}(.*)$/.exec(path);
  if (!match) return [path];
  const [, before = '', options = '', after = ''] = match;
  return options.split(',').flatMap((option) => expandBraces(`${before}${option}${after}`));
}
