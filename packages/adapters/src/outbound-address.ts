/** Which hosts belong to the public internet. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Addresses of public ranges that lead into a cloud's own network: Azure's wire server. */
const infrastructure: ReadonlySet<string> = new Set(['168.63.129.16']);

/** Domains that are never public (RFC 6761, 6762, 8375, ICANN's `internal`), and what networks commonly call their inside. */
const innerDomains = [
  'localhost',
  'local',
  'internal',
  'localdomain',
  'home.arpa',
  'lan',
  'corp',
  'home',
  'intranet',
  'private',
];

/** Names at which clouds serve the credentials of a machine and which need not lie in an inner domain. */
const metadataNames: ReadonlySet<string> = new Set([
  'metadata.azure.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
]);

/**
 * True for an address that anybody may be asked to connect to. False for loopback, private, link-local, shared, multicast, unspecified, documentation,
 * benchmarking and reserved ones (IANA's special-purpose registries, as ipaddr.js holds them), for every IPv6 form that carries an IPv4 address, and for
 * text that is no address in its usual form.
 */
export function isPublicAddress(text: string): boolean {
  if (isIP(text) === 0) return false;
  const address = ipaddr.parse(text);
  if (address.range() !== 'unicast') return false;
  if (address instanceof ipaddr.IPv4) return !infrastructure.has(address.toString());
  const [first = 0, , , , fifth = 0, sixth = 0] = address.parts;
  // IANA gives public addresses out of 2000::/3 alone: IPv4-compatible addresses and what is yet to be named lie elsewhere.
  if (first >> 13 !== 1) return false;
  // ISATAP (RFC 5214) hides an IPv4 address behind any prefix.
  return !(sixth === 0x5efe && (fifth === 0 || fifth === 0x200));
}

/** True for a lower-case name that can be public; where it leads is a question for its addresses. */
export function isPublicName(name: string): boolean {
  // A name with its final dot is the same host under another spelling, which certificates do not know.
  if (!name.includes('.') || name.endsWith('.') || metadataNames.has(name)) return false;
  return !innerDomains.some((domain) => name.endsWith(`.${domain}`));
}
