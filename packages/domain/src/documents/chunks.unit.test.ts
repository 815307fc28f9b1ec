import { expect, test } from 'vitest';
import { chunksOf, meanVector } from './chunks.ts';

const window = { chars: 200, piecesMax: 5 };

test('pieces cover the content without a gap, and none is longer than the window', () => {
  const content = Array.from({ length: 60 }, (_, index) => `word${index}`).join(' ');
  const pieces = chunksOf({ title: 'T', content }, { ...window, piecesMax: 100 });
  expect(pieces[0]?.from).toBe(0);
  expect(pieces.at(-1)?.to).toBe(content.length);
  for (const [index, piece] of pieces.entries()) {
    expect(piece.to - piece.from).toBeLessThanOrEqual(window.chars);
    expect(piece.text).toBe(`T\n${content.slice(piece.from, piece.to)}`);
    if (index > 0) expect(piece.from).toBeLessThan(pieces[index - 1]?.to ?? 0);
  }
});

test('a long document is sampled evenly from its beginning on', () => {
  const pieces = chunksOf({ title: 'T', content: 'x'.repeat(10_000) }, window);
  expect(pieces).toHaveLength(5);
  expect(pieces[0]?.from).toBe(0);
  expect(pieces.at(-1)?.from).toBeGreaterThan(6_000);
});

test('an empty document has one piece, its title', () => {
  expect(chunksOf({ title: 'T', content: '' }, window)).toEqual([{ from: 0, to: 0, text: 'T\n' }]);
});

test('a surrogate pair is never cut in two', () => {
  const pieces = chunksOf({ title: '', content: '😀'.repeat(300) }, { chars: 201, piecesMax: 100 });
  for (const piece of pieces) expect(piece.text.isWellFormed()).toBe(true);
});

test('the mean of vectors has norm 1 and lies between them', () => {
  const mean = meanVector([Float32Array.of(1, 0), Float32Array.of(0, 1)]);
  expect(mean[0]).toBeCloseTo(Math.SQRT1_2);
  expect(mean[1]).toBeCloseTo(Math.SQRT1_2);
});

test('badges, links and addresses are left out of what is embedded, and ranges still point into the content', () => {
  const content =
    '[![build](https://x.test/b.svg)](https://x.test) Hello [world](https://example.test/a) <b>bold</b> end';
  const [piece] = chunksOf({ title: 'T', content }, window);
  expect(piece?.text).not.toMatch(/https?:|<b>|svg/);
  expect(piece?.text).toContain('Hello world bold end');
  expect(content.slice(piece?.from, piece?.to)).toMatch(/^ Hello .* end$/);
});

test('a piece in the middle of a text with machinery is found where it stands', () => {
  const content = `${'![x](https://example.test/some/badge.svg) '.repeat(20)}${'alpha '.repeat(40)}needle ${'omega '.repeat(40)}`;
  const pieces = chunksOf({ title: 'T', content }, { chars: 200, piecesMax: 100 });
  const holding = pieces.filter((piece) => piece.text.includes('needle'));
  expect(holding.length).toBeGreaterThan(0);
  for (const piece of holding) expect(content.slice(piece.from, piece.to)).toContain('needle');
});

test('badges by reference are left out, and their definitions', () => {
  const content =
    '[![NPM][npm-image]][npm-url]\nThe [text][ref] stays.\n\n[npm-url]: https://example.test\n[ref]: https://example.test';
  expect(chunksOf({ title: 'T', content }, window)[0]?.text.replaceAll(/\s+/g, ' ').trim()).toBe('T The text stays.');
});

test.each(['![', '[![', '](', '][', '<a', '<!--', '\n\n', '[x]:', '[a](', 'http://', '[a]', '(('])(
  'a megabyte of %j is cut in bounded time',
  (part) => {
    const started = performance.now();
    chunksOf({ title: 'T', content: part.repeat(Math.floor(1_000_000 / part.length)) }, window);
    expect(performance.now() - started).toBeLessThan(3_000);
  },
);
