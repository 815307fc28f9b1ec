/** The text of API keys: `nvx_<8 public characters>_<43 secret ones><6 of a checksum>`. */
import { randomBytes, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const publicAlphabet = '0123456789abcdefghijklmnopqrstuvwxyz';
const publicLength = 8;
const checksumLength = 6;
/** What secret scanners look for; the checksum then tells a key from what only resembles one. */
const shape = /^nvx_[0-9a-z]{8}_[A-Za-z0-9_-]{49}$/;

/** A key of 256 secret bits, and its beginning, which is kept to tell keys apart. */
export function newKeyText(): { readonly key: string; readonly prefix: string } {
  const name = Array.from({ length: publicLength }, () => publicAlphabet.charAt(randomInt(publicAlphabet.length)));
  const prefix = `nvx_${name.join('')}`;
  const body = `${prefix}_${randomBytes(32).toString('base64url')}`;
  return { key: `${body}${checksum(body)}`, prefix };
}

/** True for a text that can be a key; keeps typing errors and junk from the database, and guards nothing. */
export function isKeyText(text: string): boolean {
  return shape.test(text) && checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength);
}

/** CRC-32 of the text before it, four bytes in base64url. */
function checksum(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64url');
}
