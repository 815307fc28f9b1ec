/** Time-based one-time passwords as authenticator apps make them (RFC 6238): SHA-1, six digits, 30 seconds. */
import { randomBytes } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';

const secretBytes = 20;
const settings = { issuer: 'NovaX', algorithm: 'SHA1', digits: 6, period: 30 };
/** Steps before and after the present one whose codes are taken, for clocks that are wrong and people who are slow (RFC 6238 §5.2). */
const window = 1;

/** A fresh secret of 160 bits, as long as the hash (RFC 4226 §4). */
export function newTotpSecret(): Buffer {
  return randomBytes(secretBytes);
}

/** The secret in Base32 for typing, and as `otpauth://…` for a QR code that is labelled with the account. */
export function totpSetup(secret: Uint8Array, account: string): { secret: string; uri: string } {
  const totp = generator(secret, account);
  return { secret: totp.secret.base32, uri: totp.toString() };
}

/** Number of the time step whose code this is, at most one away from the present; null for a wrong code. */
export function totpStep(secret: Uint8Array, code: string, now: Date): number | null {
  // The comparison below throws for what has six characters and more bytes.
  if (!/^\d{6}$/.test(code)) return null;
  const totp = generator(secret);
  const timestamp = now.getTime();
  const delta = totp.validate({ token: code, timestamp, window });
  return delta === null ? null : totp.counter({ timestamp }) + delta;
}

function generator(secret: Uint8Array, label = ''): TOTP {
  // A copy of its own: a Buffer may be a view of a larger piece of memory.
  return new TOTP({ ...settings, label, secret: new Secret({ buffer: Uint8Array.from(secret).buffer }) });
}
