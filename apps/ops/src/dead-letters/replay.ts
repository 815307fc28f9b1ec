/** Does the work of a dead letter again, by handing it to whoever failed at it and to nobody else. */
import { redeliver, type BusAddress } from '@novax/adapters/bus-brief';
import { pickUp } from '@novax/adapters/job-pickup';
import { connectJobQueue } from '@novax/adapters/queues';
import type { JobRequest } from '@novax/contracts/jobs';
import { AppError } from '@novax/runtime/errors';
import { createLogger } from '@novax/runtime/log';
import { CommandFailure } from '../cli/command.ts';
import type { Connection } from '../database/connect.ts';
import { retryEvents } from '../events/outbox.ts';
import type { WholeLetter } from './letters.ts';

export interface ReplayParts {
  /** In the transaction that ends the letter. */
  readonly client: Connection;
  /** Asked only for what the letter needs. */
  readonly bus: () => Promise<BusAddress>;
  readonly queue: () => { readonly url: string; readonly prefix: string | undefined };
}

/**
 * Hands the letter's work over, under the letter's own id: what is handed over twice is taken once, and a second time past that does nothing, because
 * consumers and jobs note what they have applied. Throws `CommandFailure` when nobody is there to take it.
 */
export async function replayLetter(letter: WholeLetter, parts: ReplayParts): Promise<void> {
  switch (letter.source) {
    case 'consumer':
      return toConsumer(letter, await parts.bus());
    case 'job':
      return toQueue(letter, parts.queue());
    case 'outbox':
      return toOutbox(letter, parts.client);
  }
}

async function toConsumer(letter: WholeLetter, address: BusAddress): Promise<void> {
  const { id, name, payload, headers } = letter;
  if (payload === null) throw new CommandFailure(`${id} has no payload any more: the stream had lost it`);
  const traceparent = headers['traceparent'];
  try {
    await redeliver(address, {
      consumer: name,
      text: JSON.stringify(payload),
      messageId: id,
      ...(traceparent === undefined ? {} : { traceparent }),
    });
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'NOT_FOUND')
      throw new CommandFailure(`the stream has no consumer ${name}`, { cause: thrown, hint: 'novax doctor --repair' });
    throw thrown;
  }
}

async function toQueue(letter: WholeLetter, { url, prefix }: ReturnType<ReplayParts['queue']>): Promise<void> {
  const job = pickUp({ id: `replay-${letter.id}`, name: letter.name, payload: letter.payload, attempt: 1 });
  if (job instanceof Error) throw new CommandFailure(`this release cannot run it: ${job.message}`);
  const queue = await connectJobQueue({ url, prefix, log: createLogger({ name: 'novax-dlq', level: 'silent' }) });
  try {
    // Name and payload were parsed together by the registry's row of that name.
    await queue.add([{ id: job.id, name: job.name, payload: job.payload } as JobRequest]);
  } finally {
    await queue.close();
  }
}

async function toOutbox({ eventId }: WholeLetter, client: Connection): Promise<void> {
  const freed = eventId === null ? 0 : await retryEvents(client, { id: eventId });
  if (freed === 0) throw new CommandFailure(`event ${eventId ?? ''} is not among the failed ones`);
}
