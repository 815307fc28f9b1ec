/** Network addresses as records and limits need them. */
import { isIP, isIPv6 } from 'node:net';

/** The address alone, without port or zone and an IPv4 one out of its IPv6 form; null for what is none, which the database would refuse. */
export function plainAddress(text: string): string | null {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/%.*$/, '').replace(/^::ffff:(?=[\d.]+$)/i, '');
  return isIP(address) === 0 ? null : address;
}

/** What one subscriber is given: an IPv4 address, or the first 64 bits of an IPv6 one (RFC 6177), so that nobody has 2^64 limits. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  // An embedded IPv4 address takes the place of two groups.
  const right = (tail ?? '')
    .replace(/[\d.]+\.[\d.]+$/, '0:0')
    .split(':')
    .filter((group) => group !== '');
  const zeros = Array.from({ length: Math.max(8 - left.length - right.length, 0) }, () => '0');
  const groups = tail === undefined ? left : [...left, ...zeros, ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
