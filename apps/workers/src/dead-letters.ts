/** Copies every message that a consumer gave up into `dead_letters`, where a person decides about it. */
import type { KeptBus } from '@novax/adapters/bus';
import type { GivenUp } from '@novax/adapters/bus-given-up';
import { envelopeSchema } from '@novax/contracts/events/envelope';
import { type DeadLetter, keepDeadLetter } from '@novax/db/queries/upkeep';
import type { Database } from '@novax/db/tx';
import type { Logger } from '@novax/runtime/log';

/** Runs until stopped; any number of processes share the work. What nobody took while none ran waits in a stream of its own. */
export function startDeadLetters(parts: {
  readonly bus: KeptBus;
  readonly db: Database;
  readonly log: Logger;
}): Promise<() => Promise<void>> {
  const { bus, db, log } = parts;
  return bus.onGivenUp(async (message) => {
    const letter = letterOf(message);
    await keepDeadLetter(db, letter);
    const { name, dedupeKey, eventId, error } = letter;
    log.error({ consumer: name, dedupeKey, eventId, error }, 'message given up; kept as a dead letter');
  });
}

/** The letter of a message: an envelope as it is, anything else as its text. */
export function letterOf(message: GivenUp): DeadLetter {
  const { consumer, key, deliveries, reason, text, headers } = message;
  const payload = parsedJson(text);
  const envelope = envelopeSchema.safeParse(payload);
  return {
    source: 'consumer',
    name: consumer,
    dedupeKey: key,
    organizationId: envelope.success ? envelope.data.organizationId : null,
    eventId: envelope.success ? envelope.data.id : null,
    payload,
    headers,
    error: reason ?? 'no answer in time: its handler hung or took its process down',
    attempts: deliveries,
    once: true,
  };
}

function parsedJson(text: string | null): unknown {
  if (text === null) return null;
  try {
    // A zero character is valid JSON and no text for PostgreSQL.
    if (!text.includes('\\u0000')) return JSON.parse(text);
  } catch {
    // Not JSON: kept as what it is.
  }
  return { text: text.replaceAll('\0', '').replaceAll('\\u0000', '') };
}
