/** Where NATS is, as its client library wants to be told. */
import type { ConnectionOptions } from 'nats';

/** Servers and credentials of `nats://user:password@host:port[,host:port…]`: the client library wants them apart. */
export function natsAddress(urls: string): Pick<ConnectionOptions, 'servers' | 'user' | 'pass'> {
  const parsed = urls.split(',').map((url) => new URL(url.includes('://') ? url : `nats://${url}`));
  const [first] = parsed;
  const servers = parsed.map(({ protocol, host }) => `${protocol}//${host}`);
  return first === undefined || first.username === ''
    ? { servers }
    : { servers, user: decodeURIComponent(first.username), pass: decodeURIComponent(first.password) };
}
