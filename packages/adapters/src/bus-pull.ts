/** Asks a pull consumer for one message at a time, on one subscription, across lost connections. */
import { createInbox, type Msg, type NatsConnection, NatsError } from 'nats';
import { type MessageSource, type PulledMessage, pulledMessage } from './bus-message.ts';

export interface Puller {
  /** The next message; null once `stop` aborts. Throws when the consumer is gone. */
  next(stop: AbortSignal): Promise<PulledMessage | null>;
  /** Ends the subscription; what was already on its way goes back to the server at once. */
  close(): Promise<void>;
}

/** How long one request waits at the server, milliseconds. */
const waitMs = 5000;

/** Pulls from a durable consumer; `onReconnect` registers what must happen after each lost connection, and answers how to leave. */
export function pullFrom(
  nc: NatsConnection,
  consumer: MessageSource,
  onReconnect: (listener: () => void) => () => void,
): Puller {
  const inbox = createInbox();
  const arrived: PulledMessage[] = [];
  let failure: Error | undefined;
  let asked: NodeJS.Timeout | undefined;
  let wake = (): void => undefined;

  const answered = (): void => {
    clearTimeout(asked);
    asked = undefined;
    wake();
  };
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error) failure = error;
      else if (message.subject !== inbox) arrived.push(pulledMessage(nc, message, consumer));
      else failure = goneError(message);
      answered();
    },
  });
  // The server forgets requests of a lost connection.
  const leave = onReconnect(answered);
  const ask = (): void => {
    nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${consumer.stream}.${consumer.name}`,
      JSON.stringify({ batch: 1, expires: waitMs * 1e6 }),
      {
        reply: inbox,
      },
    );
    // The server's own answer may be lost with a connection; never wait for it longer than this.
    asked = setTimeout(answered, waitMs + 1000);
  };

  return {
    async next(stop) {
      const end = (): void => wake();
      stop.addEventListener('abort', end, { once: true });
      try {
        for (;;) {
          if (stop.aborted) return null;
          const message = arrived.shift();
          if (message) return message;
          if (failure) throw failure;
          if (asked === undefined) ask();
          await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        stop.removeEventListener('abort', end);
      }
    },
    async close() {
      leave();
      clearTimeout(asked);
      // Draining hears what the server sent before it knew that we left; otherwise that event would wait for its acknowledgement time.
      if (!nc.isClosed()) await subscription.drain().catch(() => undefined);
      for (const message of arrived.splice(0)) message.refuse(0);
    },
  };
}

/** 404 and 408 mean "nothing now"; a deleted consumer or stream (409, 503) ends the puller. */
function goneError(status: Msg): Error | undefined {
  const code = status.headers?.code ?? 0;
  const description = status.headers?.description ?? '';
  if (code === 503 || code === 400 || (code === 409 && /deleted/i.test(description)))
    return new NatsError(description || 'consumer is gone', `${code}`);
  return undefined;
}
