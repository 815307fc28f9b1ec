/** Gives up what a dead letter holds back. */
import type pg from 'pg';
import { CommandFailure } from '../cli/command.ts';
import { rowsOf } from '../database/connect.ts';
import type { ActFacts, WholeLetter } from './letters.ts';

/**
 * In the transaction that ends the letter: an event that failed for good is dropped, never to be published, and the later ones of its aggregate are
 * free to go; a message or a job holds nothing back. Throws `CommandFailure` for an event that waits again, because it was freed.
 */
export async function dropLetter({ source, eventId }: WholeLetter, client: pg.ClientBase): Promise<ActFacts> {
  if (source !== 'outbox' || eventId === null) return {};
  const dropped = await rowsOf(
    client,
    `update public.events set status = 'dropped' where event_id = $1 and status = 'failed' returning id`,
    [eventId],
  );
  if (dropped.length > 0) return { event: eventId, eventStatus: 'dropped' };
  const waiting = await rowsOf(client, `select from public.events where event_id = $1 and status = 'pending'`, [
    eventId,
  ]);
  if (waiting.length > 0)
    throw new CommandFailure(`event ${eventId} waits to be published, for somebody has freed it`, {
      hint: 'novax events status',
    });
  return {};
}
