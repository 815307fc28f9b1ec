/** Requests to addresses that somebody else chose: only to the public internet, whatever a name resolves to, and bounded in time and size. */
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { AppError } from '@novax/runtime/errors';
import { Agent, request as send, type Dispatcher } from 'undici';
import { isPublicAddress, isPublicName } from './outbound-address.ts';

export interface OutboundOptions {
  /** Origins of the operator's own network (`http://10.0.0.5:8080`) that may be asked although they are not public. */
  readonly allow: readonly string[];
  /** Optional: ports that may be asked; 443 and 8443 when absent. */
  readonly ports?: readonly number[];
  /** Milliseconds for one request, from resolving the name to the last byte. */
  readonly timeoutMs: number;
  /** Bytes of an answer's body at most. */
  readonly bodyBytesMax: number;
  /** Optional: every address of a name; the system's resolver when absent. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
}

export interface Outbound {
  /**
   * Like the global `fetch`, but answers redirects as they are, and reads the whole body before it answers.
   * Throws VALIDATION_FAILED for a URL that may not be asked, TIMEOUT, or DEPENDENCY_UNAVAILABLE; their public texts are alike for every host, so that nobody
   * learns from them what runs inside the network.
   */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

const headBytesMax = 16_384;

/** A client of its own connections. A name is resolved once per connection, all its addresses are checked, and only those are connected to. */
export function createOutbound(options: OutboundOptions): Outbound {
  const { timeoutMs, bodyBytesMax, resolve = resolveBySystem } = options;
  const ports = new Set(options.ports ?? [443, 8443]);
  const allowed = new Set(options.allow.map((origin) => new URL(origin).origin));
  const checked = agent((name) => publicAddresses(name, resolve));
  const unchecked = agent(resolve);

  function agent(addresses: (name: string) => Promise<readonly string[]>): Agent {
    return new Agent({
      connect: { lookup: lookupBy(addresses), timeout: timeoutMs },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      maxHeaderSize: headBytesMax,
      maxResponseSize: bodyBytesMax,
      // The bounds above are those of HTTP/1.1.
      allowH2: false,
      connections: 8,
    });
  }

  async function ask(request: Request, dispatcher: Agent, signal: AbortSignal): Promise<Response> {
    const answer = await send(request.url, {
      method: request.method,
      // Unpacked sizes would have to be bounded as well: nothing is accepted packed.
      headers: { ...Object.fromEntries(request.headers), 'accept-encoding': 'identity' },
      body: request.body === null ? null : Buffer.from(await request.arrayBuffer()),
      dispatcher,
      signal,
    });
    return responseOf(answer, bodyBytesMax);
  }

  return {
    async fetch(url, init) {
      const target = targetOf(url);
      const own = allowed.has(target.origin);
      if (!own) admit(target, ports);
      const request = new Request(target, init);
      const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), request.signal]);
      try {
        // A request that still waits for its connection does not look at the signal.
        return await Promise.race([ask(request, own ? unchecked : checked, signal), aborted(signal)]);
      } catch (thrown) {
        throw failure(thrown, target);
      }
    },
    async close() {
      await Promise.all([checked.destroy(), unchecked.destroy()]);
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    // Whoever gives a signal may give any reason; ours is an error.
    const end = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

function targetOf(url: string | URL): URL {
  // Spellings of hosts (octal, full-width, percent-encoded) are gone once parsed.
  const target = URL.parse(String(url));
  if (target === null) throw refused('it is no URL');
  if (target.username !== '' || target.password !== '') throw refused('it holds credentials');
  return target;
}

function admit(target: URL, ports: ReadonlySet<number>): void {
  if (target.protocol !== 'https:') throw refused(`scheme ${target.protocol}`);
  if (!ports.has(Number(target.port || 443))) throw refused(`port ${target.port}`);
  const host = target.hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0 ? !isPublicName(host) : !isPublicAddress(host)) throw refused(`host ${host}`);
}

async function publicAddresses(name: string, resolve: (name: string) => Promise<readonly string[]>) {
  const addresses = await resolve(name);
  const inner = addresses.find((address) => !isPublicAddress(address));
  if (inner !== undefined) throw refused(`${name} leads to ${inner}`);
  // A name of the inside and a name of nothing must look alike.
  if (addresses.length === 0) throw refused(`${name} has no address`);
  return addresses;
}

async function resolveBySystem(name: string): Promise<readonly string[]> {
  try {
    const found = await systemLookup(name, { all: true });
    return found.map(({ address }) => address);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOTFOUND') return [];
    throw thrown;
  }
}

/** What a socket asks before it connects; it connects to what is answered here, and to nothing else. */
function lookupBy(addresses: (name: string) => Promise<readonly string[]>): LookupFunction {
  return (name, { all }, answer) => {
    addresses(name).then(
      (found) => {
        const list = found.map((address) => ({ address, family: isIP(address) }));
        const [first] = list;
        if (first === undefined) answer(new Error(`${name} has no address`), '');
        else if (all === true) answer(null, list);
        else answer(null, first.address, first.family);
      },
      (thrown: unknown) => answer(thrown instanceof Error ? thrown : new Error(String(thrown)), ''),
    );
  };
}

async function responseOf(answer: Dispatcher.ResponseData, bodyBytesMax: number): Promise<Response> {
  const { statusCode, body } = answer;
  // A body that is given up tells its listeners so; without one the process would end.
  body.on('error', () => undefined);
  const headers = new Headers();
  for (const [name, values] of Object.entries(answer.headers))
    for (const value of [values ?? []].flat()) headers.append(name, value);
  const packed = headers.get('content-encoding');
  if (packed !== null && packed.toLowerCase() !== 'identity') {
    body.destroy();
    throw new Error(`the body is packed as ${packed}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    // Bytes, since no encoding was set on the stream.
    const bytes = chunk as Uint8Array;
    chunks.push(bytes);
    size += bytes.length;
    // Leaving the loop destroys the stream, and the connection with it.
    if (size > bodyBytesMax) throw new Error(`the body is longer than ${bodyBytesMax} bytes`);
  }
  const bare = statusCode === 204 || statusCode === 205 || statusCode === 304;
  return new Response(bare ? null : Buffer.concat(chunks), { status: statusCode, headers });
}

function refused(detail: string): AppError {
  return new AppError('VALIDATION_FAILED', {
    detail: `refused to ask a URL: ${detail}`,
    text: 'Give a URL of a server on the public internet, with https.',
  });
}

/** The refusal or time-out behind what was thrown; everything else is a server that cannot be reached. */
function failure(thrown: unknown, target: URL): AppError {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    if (error instanceof AppError) return error;
    if (error.name.endsWith('TimeoutError'))
      return new AppError('TIMEOUT', { cause: thrown, detail: `${target.origin} took too long` });
  }
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown, detail: `${target.origin}: ${detail}` });
}
