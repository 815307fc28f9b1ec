/** What a page of ours may do, as its Content-Security-Policy (CSP level 3). */
import { createHash } from 'node:crypto';

/** Lets a page run exactly this script and style, known by their hashes, and call this server; nothing else. */
export function contentPolicy({ script, style }: { readonly script: string; readonly style: string }): string {
  return [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
