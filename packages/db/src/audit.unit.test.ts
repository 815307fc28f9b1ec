import { expect, test } from 'vitest';
import { auditable, difference } from './audit.ts';

test('secrets are left out of the trail at every level, and names that only resemble one stay', () => {
  const kept = auditable({
    name: 'x',
    password: 'p',
    settings: { smtp: { host: 'h', password: 'p' }, apiKey: 'k', keywords: ['a'] },
    list: [{ accessToken: 't', ok: 1 }],
  });
  expect(kept).toEqual({ name: 'x', settings: { smtp: { host: 'h' }, keywords: ['a'] }, list: [{ ok: 1 }] });
});

test('long text is replaced by its length', () => {
  expect(auditable({ content: 'x'.repeat(501), title: 'x'.repeat(500) })).toEqual({
    content: { length: 501 },
    title: 'x'.repeat(500),
  });
});

test('a difference holds the changed fields only, before and after', () => {
  expect(difference({ a: 1, b: { c: 1 } }, { a: 1, b: { c: 2 } })).toEqual({
    before: { b: { c: 1 } },
    after: { b: { c: 2 } },
  });
});
