/** Every domain event: its aggregate, its schema version and its payload. Payloads change only by addition. */
import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { roles } from '../permissions.ts';
import type { AggregateType } from './envelope.ts';

interface EventRow {
  readonly aggregate: AggregateType;
  readonly version: number;
  readonly payload: z.ZodType;
}

const user = z.object({ userId: idSchema });
const invitation = z.object({ invitationId: idSchema });
const member = z.object({ memberId: idSchema, userId: idSchema, role: z.enum(roles) });
const project = z.object({ projectId: idSchema });
const document = z.object({ documentId: idSchema, projectId: idSchema, version: z.int() });

export const events = {
  'user.registered': { aggregate: 'user', version: 1, payload: user },
  'user.verified': { aggregate: 'user', version: 1, payload: user },
  'user.erased': { aggregate: 'user', version: 1, payload: user },
  'organization.created': {
    aggregate: 'organization',
    version: 1,
    payload: z.object({ organizationId: idSchema, slug: z.string() }),
  },
  'organization.updated': { aggregate: 'organization', version: 1, payload: z.object({ organizationId: idSchema }) },
  'organization.transferred': {
    aggregate: 'organization',
    version: 1,
    payload: z.object({ organizationId: idSchema, fromUserId: idSchema, toUserId: idSchema }),
  },
  'organization.deleted': { aggregate: 'organization', version: 1, payload: z.object({ organizationId: idSchema }) },
  'invitation.created': { aggregate: 'invitation', version: 1, payload: invitation },
  'invitation.revoked': { aggregate: 'invitation', version: 1, payload: invitation },
  'member.joined': { aggregate: 'member', version: 1, payload: member },
  'member.updated': { aggregate: 'member', version: 1, payload: member },
  'member.removed': { aggregate: 'member', version: 1, payload: member },
  'project.created': { aggregate: 'project', version: 1, payload: project },
  'project.updated': { aggregate: 'project', version: 1, payload: project },
  'project.archived': { aggregate: 'project', version: 1, payload: project },
  'project.deleted': { aggregate: 'project', version: 1, payload: project },
  'document.created': { aggregate: 'document', version: 1, payload: document },
  'document.updated': { aggregate: 'document', version: 1, payload: document },
  'document.archived': { aggregate: 'document', version: 1, payload: document },
  'document.deleted': { aggregate: 'document', version: 1, payload: document },
  /** Gone for good, with everything it had; `version` is one above its last. */
  'document.purged': { aggregate: 'document', version: 1, payload: document },
  /** Written by the AI; never bumps the document's version, so `version` is the one it read. */
  'document.enriched': {
    aggregate: 'document',
    version: 1,
    payload: document.extend({ kind: z.enum(['embedding', 'summary']), model: z.string() }),
  },
} as const satisfies Record<string, EventRow>;

export type EventType = keyof typeof events;
export type EventPayload<T extends EventType> = z.output<(typeof events)[T]['payload']>;

/** True when `type` is an event of this release. */
export function isEventType(type: string): type is EventType {
  return Object.hasOwn(events, type);
}
