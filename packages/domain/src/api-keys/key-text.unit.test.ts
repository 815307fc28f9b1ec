import { expect, test } from 'vitest';
import { isKeyText, newKeyText } from './key-text.ts';

test('a key begins with its prefix, has 43 secret characters and a checksum, and is new each time', () => {
  const made = Array.from({ length: 200 }, newKeyText);
  for (const { key, prefix } of made) {
    expect(prefix).toMatch(/^nvx_[0-9a-z]{8}$/);
    expect(key).toMatch(/^nvx_[0-9a-z]{8}_[A-Za-z0-9_-]{43}[A-Za-z0-9_-]{6}$/);
    expect(key.startsWith(`${prefix}_`)).toBe(true);
    expect(isKeyText(key)).toBe(true);
  }
  expect(new Set(made.map(({ key }) => key.slice(13))).size).toBe(200);
});

test('the checksum is the CRC-32 that a scanner can compute: fixed for a fixed text', () => {
  const body = `nvx_00000000_${'A'.repeat(43)}`;
  expect(isKeyText(`${body}lu_xVg`)).toBe(true);
});

test('a text that differs in any one place is no key', () => {
  const { key } = newKeyText();
  for (let at = 0; at < key.length; at += 1) {
    const other = key[at] === 'a' ? 'b' : 'a';
    expect(isKeyText(key.slice(0, at) + other + key.slice(at + 1)), String(at)).toBe(false);
  }
  for (const text of ['', 'nvx_', key.slice(1), `${key}x`, key.slice(0, -1), `${key}\n`, key.toUpperCase()])
    expect(isKeyText(text)).toBe(false);
});
