/** Which jobs an event owes: total over the events there are, so that a new event must be decided here. */
import type { EventType } from './registry.ts';

export type DocumentJob = 'embed-document' | 'summarize-document' | 'index-document';

const nothing: readonly DocumentJob[] = [];
const changed: readonly DocumentJob[] = ['embed-document', 'summarize-document', 'index-document'];
const moved: readonly DocumentJob[] = ['index-document'];

/** Per event, the jobs about its document. */
export const owedJobs: Readonly<Record<EventType, readonly DocumentJob[]>> = {
  'user.registered': nothing,
  'user.verified': nothing,
  'user.erased': nothing,
  'organization.created': nothing,
  'organization.updated': nothing,
  'organization.transferred': nothing,
  'organization.deleted': nothing,
  'invitation.created': nothing,
  'invitation.revoked': nothing,
  'member.joined': nothing,
  'member.updated': nothing,
  'member.removed': nothing,
  'project.created': nothing,
  'project.updated': nothing,
  'project.archived': nothing,
  'project.deleted': nothing,
  'document.created': changed,
  'document.updated': changed,
  'document.archived': moved,
  'document.deleted': moved,
  'document.purged': moved,
  // Written by those very jobs: answering it with a job would never end.
  'document.enriched': nothing,
};

/** Jobs that note in the inbox, under their own name, which events they have applied. The index keeps none: it notes a version in the document. */
export const notedJobs: readonly DocumentJob[] = ['embed-document', 'summarize-document'];
