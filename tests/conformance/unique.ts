/** Names and events that no other test uses. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Envelope } from '@novax/contracts/events/envelope';
import pino from 'pino';

/** Letters and digits, different every time. */
export function uniqueName(): string {
  return `t${randomBytes(6).toString('hex')}`;
}

/** A valid event about a new document, unless told otherwise. */
export function anEvent(changes: Partial<Envelope> = {}): Envelope {
  return {
    id: randomUUID(),
    type: 'document.created',
    schemaVersion: 1,
    organizationId: randomUUID(),
    aggregate: { type: 'document', id: randomUUID(), version: 1 },
    actor: { type: 'system', id: null },
    occurredAt: '2026-01-02T03:04:05.678Z',
    requestId: null,
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    payload: { documentId: randomUUID() },
    ...changes,
  };
}

/** A log that says nothing; `NOVAX_TEST_LOG` names a level to hear it. */
export const quiet = pino({ level: process.env['NOVAX_TEST_LOG'] ?? 'silent' });
