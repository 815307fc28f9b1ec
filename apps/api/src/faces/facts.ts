/** Reads from a raw request what the chain needs to know. */
import type { IncomingMessage } from 'node:http';
import { newId } from '@novax/runtime/ids';
import { plainAddress } from '../address.ts';
import type { RequestFacts } from '../request.ts';

const requestIdShape = /^[A-Za-z0-9_-]{8,64}$/;
const traceparentShape = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The caller's address: the `hops`-th from the right of X-Forwarded-For and the socket, so that a client cannot choose its own. */
function addressOf(request: IncomingMessage, hops: number): string | null {
  const socket = plainAddress(request.socket.remoteAddress ?? '');
  if (hops === 0) return socket;
  const forwarded = (header(request, 'x-forwarded-for') ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return plainAddress(forwarded[Math.max(forwarded.length - hops, 0)] ?? '') ?? socket;
}

/** Facts of one request; the caller's request id and trace context are taken over when they are well formed. */
export function requestFacts(request: IncomingMessage, face: RequestFacts['face'], trustedHops: number): RequestFacts {
  const given = header(request, 'x-request-id');
  const traceparent = header(request, 'traceparent');
  return {
    face,
    authorization: header(request, 'authorization'),
    userAgent: header(request, 'user-agent')?.slice(0, 300) ?? null,
    rate: { tightest: null },
    call: {
      requestId: given !== undefined && requestIdShape.test(given) ? given : newId(),
      ip: addressOf(request, trustedHops),
      traceparent: traceparent !== undefined && traceparentShape.test(traceparent) ? traceparent : null,
    },
  };
}
