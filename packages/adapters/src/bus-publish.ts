/**
 * Publishes to the event stream with many messages unanswered at one time.
 * All acknowledgements come to one subscription, told apart by the last token of their subject, and one timer looks for those that do not come:
 * the client's own `js.publish` makes a request, a timer, an error kept in reserve and six promises for each, which is most of what a publish costs.
 */
import { eventSubject, replayHeader } from '@novax/contracts/events/envelope';
import type { PublishResult } from '@novax/domain/ports';
import { createInbox, ErrorCode, headers, type Msg, type NatsConnection, NatsError } from 'nats';
import { createWindow } from './window.ts';

/** An event as it goes out. */
export interface OutgoingEvent {
  readonly id: string;
  readonly type: string;
  readonly traceparent: string | null;
  /** The envelope as JSON: what the stream keeps. */
  readonly body: string;
  /** Names a sending of events that were sent before. */
  readonly replay?: string | undefined;
}

export interface Publisher {
  /** Sends at once; `answer` is called exactly once, never before this returns. Never throws. */
  send(event: OutgoingEvent, answer: (result: PublishResult) => void): void;
  /** Sends everything unanswered again: to be called when a connection came back. What had arrived is recognised by the stream. */
  resend(): void;
  /** Every event unanswered counts as refused. */
  close(): void;
}

/** A subject without wildcards, spaces and empty tokens. */
const subjectPattern = /^[^\s.*>]+(\.[^\s.*>]+)*$/;
/** The server's code for a message above the stream's own limit. */
const messageTooLarge = 10054;
/** Status of a message that nobody received: there is no stream for the subject. */
const noResponders = 503;
/** Milliseconds to wait for an acknowledgement. */
const acknowledgeMs = 5000;
/** Connections that one publish may lose before it counts as refused. */
const lossesMax = 3;

interface Unanswered {
  readonly event: OutgoingEvent;
  readonly answer: (result: PublishResult) => void;
  readonly dueAt: number;
  losses: number;
}

/** A publisher on a connection; `subjectOf` gives an event's subject its namespace. */
export function createPublisher(nc: NatsConnection, subjectOf: (subject: string) => string): Publisher {
  const inbox = createInbox();
  /** In the order of their deadlines, as all wait equally long. */
  const unanswered = createWindow<Unanswered>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const settle = (number: number, outcome: Outcome): void => {
    const one = unanswered.take(number);
    one?.answer({ id: one.event.id, ...outcome });
  };
  const expire = (): void => {
    const now = Date.now();
    for (const [number, one] of unanswered.entries()) {
      if (one.dueAt > now) break;
      settle(number, refusal('no acknowledgement in time'));
    }
    timer = undefined;
    watch();
  };
  const watch = (): void => {
    const oldest = unanswered.oldest();
    if (oldest !== undefined) timer ??= setTimeout(expire, Math.max(oldest.dueAt - Date.now(), 10));
  };
  const write = (number: number, event: OutgoingEvent): void => {
    try {
      const subject = subjectOf(eventSubject(event));
      // Sent as it is, it would end the connection that every other event shares.
      if (!subjectPattern.test(subject)) throw new UnsendableSubject(`no subject: ${subject}`);
      // As bytes out of Node's pool: of a text the client makes an allocation of its own for each.
      nc.publish(subject, Buffer.from(event.body), {
        headers: headersOf(event),
        reply: `${inbox}.${number.toString(36)}`,
      });
    } catch (thrown) {
      // Later, as every other answer: the sender has not noted yet that it sent.
      queueMicrotask(() => settle(number, refusalOf(thrown)));
    }
  };
  const subscription = nc.subscribe(`${inbox}.*`, {
    callback(error, message) {
      if (error === null) settle(parseInt(message.subject.slice(inbox.length + 1), 36), read(message));
    },
  });

  return {
    send(event, answer) {
      if (closed) return queueMicrotask(() => answer({ id: event.id, ...closedRefusal }));
      const number = unanswered.add({ event, answer, dueAt: Date.now() + acknowledgeMs, losses: 0 });
      write(number, event);
      watch();
    },
    resend() {
      for (const [number, one] of unanswered.entries()) {
        one.losses += 1;
        if (one.losses >= lossesMax) settle(number, refusal('the connection was lost again and again'));
        else write(number, one.event);
      }
    },
    close() {
      closed = true;
      clearTimeout(timer);
      if (!subscription.isClosed()) subscription.unsubscribe();
      for (const [number] of unanswered.entries()) settle(number, closedRefusal);
    },
  };
}

type Outcome = PublishResult extends infer R ? (R extends PublishResult ? Omit<R, 'id'> : never) : never;

class UnsendableSubject extends Error {}

function refusal(error: string, poison = false): Outcome {
  return { ok: false, error, poison };
}

const closedRefusal = refusal('the connection is closed');

/** Refusals that are about the message are poison: too large for the server, or on a subject that is none. */
function refusalOf(thrown: unknown): Outcome {
  const tooLarge = thrown instanceof NatsError && thrown.code === `${ErrorCode.MaxPayloadExceeded}`;
  const error = thrown instanceof Error ? thrown.message : String(thrown);
  return refusal(error, tooLarge || thrown instanceof UnsendableSubject);
}

/** What the stream answers, by the server's `PubAck`. */
interface Acknowledgement {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

function read(message: Msg): Outcome {
  if (message.headers?.code === noResponders) return refusal('no stream takes this subject');
  let answer: Acknowledgement;
  try {
    answer = message.json<Acknowledgement>();
  } catch {
    return refusal('the acknowledgement cannot be read');
  }
  const { seq, duplicate = false, error } = answer;
  if (error === undefined && seq !== undefined) return { ok: true, streamSeq: seq, duplicate };
  // Too large for the stream's own limit is about the message as well.
  return refusal(error?.description ?? 'refused without a reason', error?.err_code === messageTooLarge);
}

/** The message id makes a repeat one message within the stream's window; a replay is stored once more per name. */
function headersOf(event: OutgoingEvent): ReturnType<typeof headers> {
  const head = headers();
  const { id, replay, traceparent } = event;
  head.append('Nats-Msg-Id', replay === undefined ? id : `${id}.${replay}`);
  if (traceparent !== null) head.append('traceparent', traceparent);
  if (replay !== undefined) head.append(replayHeader, replay);
  return head;
}
