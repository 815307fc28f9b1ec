/** Steady calls from many clients that keep their connections, whether answers are quick or not. */
import { inspect } from 'node:util';

export interface Traffic {
  /** How many calls have ended so far. */
  answered(): number;
  /** Lets the calls in hand end and answers what became of all. */
  stop(): Promise<{ readonly calls: number; readonly failed: readonly string[]; readonly p99Ms: number }>;
}

/** Makes one call; `text` says why where the status is not 200. */
export type Call = (turn: number) => Promise<{ readonly status: number; readonly text: string }>;

/** Calls in hand at most, as if so many clients made them. */
const clients = 64;

/** Begins `perSecond` calls a second until stopped. A call that throws has failed. */
export function startTraffic(perSecond: number, call: Call): Traffic {
  const took: number[] = [];
  const failed: string[] = [];
  const inHand = new Set<Promise<void>>();
  const begin = (turn: number): void => {
    const at = performance.now();
    const one = call(turn)
      .catch((thrown: unknown) => ({ status: 0, text: inspect(thrown) }))
      .then(({ status, text }) => {
        if (status !== 200) failed.push(`${status} ${text.slice(0, 200)}`);
        took.push(performance.now() - at);
      })
      .finally(() => inHand.delete(one));
    inHand.add(one);
  };
  const started = performance.now();
  let turn = 0;
  // What a late timer missed is made up for at once: slow answers must not thin the calls out, until every client has a call in hand.
  const timer = setInterval(() => {
    for (const due = ((performance.now() - started) / 1000) * perSecond; turn < due; turn += 1)
      if (inHand.size < clients) begin(turn);
  }, 1000 / perSecond);
  return {
    answered: () => took.length,
    async stop() {
      clearInterval(timer);
      await Promise.all(inHand);
      const sorted = took.toSorted((a, b) => a - b);
      return { calls: took.length, failed, p99Ms: Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0) };
    },
  };
}
