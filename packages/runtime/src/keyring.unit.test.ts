import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createKeyring, keyringSchema } from './keyring.ts';

const newKey = (): string => randomBytes(32).toString('base64');
const secret = Buffer.from('a shared secret');

test('what is sealed opens with the same context, and looks different every time', () => {
  const ring = createKeyring(newKey());
  const [one, two] = [ring.seal(secret, 'totp:1'), ring.seal(secret, 'totp:1')];
  expect(ring.open(one, 'totp:1')).toEqual(secret);
  expect(one.ciphertext.equals(two.ciphertext)).toBe(false);
  expect(one.ciphertext.includes(secret)).toBe(false);
});

test('another context, another key and any changed byte are refused', () => {
  const ring = createKeyring(newKey());
  const sealed = ring.seal(secret, 'totp:1');
  expect(() => ring.open(sealed, 'totp:2')).toThrow('does not open');
  expect(() => createKeyring(newKey()).open(sealed, 'totp:1')).toThrow('no key');
  for (let at = 0; at < sealed.ciphertext.length; at += 1) {
    const changed = Buffer.from(sealed.ciphertext);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(() => ring.open({ ...sealed, ciphertext: changed }, 'totp:1')).toThrow('does not open');
  }
});

test('after a rotation the new key seals and the old one still opens', () => {
  const [before, after] = [newKey(), newKey()];
  const sealed = createKeyring(before).seal(secret, 'x');
  const ring = createKeyring(`${after}, ${before}`);
  expect(ring.open(sealed, 'x')).toEqual(secret);
  expect(ring.seal(secret, 'x').keyId).not.toBe(sealed.keyId);
});

test('a key that is no 32 bytes is a wrong setting', () => {
  expect(keyringSchema.safeParse(newKey()).success).toBe(true);
  for (const wrong of ['short', randomBytes(16).toString('base64'), `${newKey()},x`])
    expect(keyringSchema.safeParse(wrong).success, wrong).toBe(false);
});
