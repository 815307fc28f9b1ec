/** The loop under every durable consumer: one message in hand at a time, across lost connections and definitions. */
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';
import type { PulledMessage } from './bus-message.ts';
import type { Puller } from './bus-pull.ts';

export interface LoopOptions {
  readonly name: string;
  readonly log: Logger;
  /** Finds the consumer on the server, making it anew when it is gone. */
  readonly open: () => Promise<Puller>;
  /** Answers the message; a rejection opens the consumer again. */
  readonly take: (message: PulledMessage) => Promise<void>;
}

/**
 * Takes messages until stopped. Only one is requested at a time: messages fetched ahead would use up their deliveries whenever a process dies with
 * them. The answer stops the loop after the message in hand.
 */
export function runLoop(options: LoopOptions): () => Promise<void> {
  const stopping = new AbortController();
  const loop = takeUntil(options, stopping.signal);
  return () => {
    stopping.abort();
    return loop;
  };
}

async function takeUntil(options: LoopOptions, stop: AbortSignal): Promise<void> {
  for (let failures = 0; !stop.aborted;) {
    try {
      const puller = await options.open();
      try {
        for (let message = await puller.next(stop); message; message = await puller.next(stop)) {
          failures = 0;
          await options.take(message);
        }
      } finally {
        await puller.close();
      }
    } catch (thrown) {
      if (stop.aborted) return;
      failures += 1;
      options.log.warn({ consumer: options.name, err: thrown }, 'cannot take messages; trying again');
      await pause(Math.min(250 * 2 ** (failures - 1), 5000), stop);
    }
  }
}
