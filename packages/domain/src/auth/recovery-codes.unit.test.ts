import { expect, test } from 'vitest';
import { newRecoveryCode, recoveryCodeHash } from './recovery-codes.ts';

test('a recovery code has three groups of five from an alphabet without look-alikes, and 64 bits or more', () => {
  const codes = Array.from({ length: 500 }, newRecoveryCode);
  for (const code of codes) expect(code).toMatch(/^[2-9a-hjkmnp-z]{5}(-[2-9a-hjkmnp-z]{5}){2}$/);
  expect(new Set(codes).size).toBe(500);
  const letters = new Set(codes.join('').replaceAll('-', ''));
  expect(15 * Math.log2(letters.size)).toBeGreaterThan(64);
});

test('a recovery code is known however it is typed, and no other is', () => {
  const hash = recoveryCodeHash('abcde-fghjk-mnpqr');
  for (const typed of ['ABCDE-FGHJK-MNPQR', ' abcdefghjkmnpqr ', 'abcde fghjk mnpqr'])
    expect(recoveryCodeHash(typed)).toBe(hash);
  expect(recoveryCodeHash('abcde-fghjk-mnpqs')).not.toBe(hash);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
});
