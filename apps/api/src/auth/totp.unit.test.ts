import { expect, test } from 'vitest';
import { newTotpSecret, totpSetup, totpStep } from './totp.ts';

/** The secret and the SHA-1 column of RFC 6238 appendix B, the last six of its eight digits. */
const secret = Buffer.from('12345678901234567890');
const vectors = [
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
] as const;

test.each(vectors)('at second %i the code of the RFC is taken for its own step', (second, code) => {
  expect(totpStep(secret, code, new Date(second * 1000))).toBe(Math.floor(second / 30));
});

test('a code is taken one step before and after its own, and no further', () => {
  const [, , [second, code]] = vectors;
  const step = Math.floor(second / 30);
  const at = (steps: number) => totpStep(secret, code, new Date((second + steps * 30) * 1000));
  expect([at(-2), at(-1), at(0), at(1), at(2)]).toEqual([null, step, step, step, null]);
});

test.each(['', '12345', '1234567', 'abcdef', '05047１', ' 50471'])('"%s" is no code', (code) => {
  expect(totpStep(secret, code, new Date(1111111111_000))).toBeNull();
});

test('a secret has 20 bytes, is new each time, and its address says what authenticators expect', () => {
  expect(newTotpSecret()).toHaveLength(20);
  expect(newTotpSecret()).not.toEqual(newTotpSecret());
  const { secret: base32, uri } = totpSetup(secret, 'ada+1@example.com');
  expect(base32).toBe('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
  const url = new URL(uri);
  expect(url.href.startsWith('otpauth://totp/NovaX:ada%2B1%40example.com?')).toBe(true);
  expect(Object.fromEntries(url.searchParams)).toEqual({
    issuer: 'NovaX',
    secret: base32,
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  });
});
