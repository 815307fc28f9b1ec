/** Whether a request comes from an operator of the installation. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** True for `Bearer <token>`, and for Basic with the token as its password, whatever the name; takes as long for a wrong one. */
export function holdsToken(authorization: string | undefined, token: string): boolean {
  const [scheme = '', value = ''] = (authorization ?? '').split(' ', 2);
  return timingSafeEqual(digest(offered(scheme.toLowerCase(), value)), digest(token));
}

function offered(scheme: string, value: string): string {
  if (scheme === 'bearer') return value;
  if (scheme !== 'basic') return '';
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}

/** Of one length, whatever was offered. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
