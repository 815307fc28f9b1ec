/** Who acts and within which call, as audit rows and events record it. */
import type { EventActor } from '@novax/contracts/events/envelope';

export type ActorType = EventActor['type'];

export interface Actor {
  readonly type: ActorType;
  /** The user behind the action, also the maker of an API key; null for the system and the internal AI. */
  readonly userId: string | null;
  /** Optional: only actions through an API key name it. */
  readonly apiKeyId?: string;
}

/** The call an action belongs to; all null for background work of our own. */
export interface CallInfo {
  readonly requestId: string | null;
  /** The caller's address, for the audit row. */
  readonly ip: string | null;
  /** W3C trace context. */
  readonly traceparent: string | null;
}

export const noCall: CallInfo = { requestId: null, ip: null, traceparent: null };
