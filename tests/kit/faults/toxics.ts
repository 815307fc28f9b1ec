/**
 * What a fault proxy can do to the bytes that pass it, named and set as in toxiproxy (github.com/Shopify/toxiproxy, README "Toxics"), plus `half_open`.
 * A toxic acts on one direction; several act one after another.
 */

export type Toxic =
  /** Delays everything by `latencyMs` ± `jitterMs`; order is kept. */
  | { readonly type: 'latency'; readonly latencyMs: number; readonly jitterMs?: number }
  /** At most that many bytes a second. */
  | { readonly type: 'bandwidth'; readonly bytesPerSecond: number }
  /** Holds back the end of the connection. */
  | { readonly type: 'slow_close'; readonly delayMs: number }
  /** Swallows everything and closes after `timeoutMs`; 0 never closes. */
  | { readonly type: 'timeout'; readonly timeoutMs: number }
  /** Resets the connection (RST) after `timeoutMs`. */
  | { readonly type: 'reset_peer'; readonly timeoutMs: number }
  /** Cuts what passes into pieces of about `averageBytes`, `delayMs` apart. */
  | { readonly type: 'slicer'; readonly averageBytes: number; readonly delayMs: number }
  /** Closes after that many bytes. */
  | { readonly type: 'limit_data'; readonly bytes: number }
  /** Lets bytes pass, but never tells one side that the other has gone. */
  | { readonly type: 'half_open' };

/** What becomes of one piece of data: the pieces to send, each after a pause, and whether and how the connection then ends. */
export interface Passage {
  readonly pieces: readonly { readonly bytes: Buffer; readonly afterMs: number }[];
  readonly end?: { readonly how: 'close' | 'reset'; readonly afterMs: number };
}

/** Bytes that passed so far in a direction of one connection. */
export interface Flow {
  passed: number;
}

/** Sends a piece through one toxic. Pure but for the count in `flow` and for chance in `latency`. */
export function pass(toxic: Toxic, bytes: Buffer, flow: Flow): Passage {
  switch (toxic.type) {
    case 'latency':
      return { pieces: [{ bytes, afterMs: Math.max(0, toxic.latencyMs + jitter(toxic.jitterMs ?? 0)) }] };
    case 'bandwidth':
      return { pieces: [{ bytes, afterMs: (bytes.length / toxic.bytesPerSecond) * 1000 }] };
    case 'timeout':
      return { pieces: [], ...(toxic.timeoutMs > 0 && { end: { how: 'close', afterMs: toxic.timeoutMs } }) };
    case 'reset_peer':
      return { pieces: [], end: { how: 'reset', afterMs: toxic.timeoutMs } };
    case 'slicer':
      return { pieces: slices(bytes, toxic.averageBytes).map((piece) => ({ bytes: piece, afterMs: toxic.delayMs })) };
    case 'limit_data': {
      const left = toxic.bytes - flow.passed;
      const kept = bytes.subarray(0, Math.max(left, 0));
      flow.passed += kept.length;
      const whole = flow.passed < toxic.bytes;
      return { pieces: [{ bytes: kept, afterMs: 0 }], ...(!whole && { end: { how: 'close', afterMs: 0 } }) };
    }
    case 'slow_close':
    case 'half_open':
      return { pieces: [{ bytes, afterMs: 0 }] };
  }
}

function jitter(jitterMs: number): number {
  return (Math.random() * 2 - 1) * jitterMs;
}

function slices(bytes: Buffer, averageBytes: number): Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, Math.round(averageBytes * (0.5 + Math.random())));
    out.push(bytes.subarray(at, at + size));
    at += size;
  }
  return out;
}
