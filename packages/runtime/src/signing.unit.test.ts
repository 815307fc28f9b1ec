import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createSigner, signingKeysSchema } from './signing.ts';

const newKey = (): string => randomBytes(32).toString('base64');
const text = Buffer.from('the head of a chain');

test('a signature holds for its text and its key, and for nothing else', () => {
  const signer = createSigner(newKey());
  const signature = signer.sign(text);
  expect(signer.verify(text, signature, signer.keyId)).toBe(true);
  expect(signer.verify(Buffer.from('another text'), signature, signer.keyId)).toBe(false);
  const other = createSigner(newKey());
  expect(other.verify(text, signature, other.keyId)).toBe(false);
  expect(other.verify(text, signature, signer.keyId)).toBe(false);
  for (let at = 0; at < signature.length; at += 1) {
    const changed = Buffer.from(signature);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(signer.verify(text, changed, signer.keyId)).toBe(false);
  }
  expect(signer.verify(text, Buffer.from('short'), signer.keyId)).toBe(false);
});

test('a seed gives the key that RFC 8032 says', () => {
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
  expect(createSigner(seed.toString('base64')).sign(new Uint8Array()).toString('hex')).toBe(
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  );
});

test('after a rotation the new key signs and the old one still verifies', () => {
  const [before, after] = [newKey(), newKey()];
  const old = createSigner(before);
  const ring = createSigner(`${after}, ${before}`);
  expect(ring.verify(text, old.sign(text), old.keyId)).toBe(true);
  expect(ring.keyId).not.toBe(old.keyId);
  expect(old.verify(text, ring.sign(text), ring.keyId)).toBe(false);
});

test('a key that is no 32 bytes is a wrong setting, and so is none', () => {
  expect(signingKeysSchema.safeParse(newKey()).success).toBe(true);
  for (const wrong of ['', 'short', randomBytes(16).toString('base64'), `${newKey()},x`])
    expect(signingKeysSchema.safeParse(wrong).success, wrong).toBe(false);
});
