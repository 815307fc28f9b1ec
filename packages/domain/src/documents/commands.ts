/** What can be done to a document. The role gate stands before these; they hold the rules of the thing itself. */
import type { DocumentView } from '@novax/contracts/api/documents';
import type { EventType } from '@novax/contracts/events/registry';
import { auditable, difference } from '@novax/db/audit';
import { Document } from '@novax/db/entities/work';
import { documentById, readDocument } from '@novax/db/queries/documents';
import { holdProject } from '@novax/db/queries/projects';
import type { TenantTx } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import { contentHash } from '../content-hash.ts';

/** Creates a document in a live project. Throws NOT_FOUND. */
export async function createDocument(
  tx: TenantTx,
  input: Pick<DocumentView, 'projectId' | 'title' | 'content'> & {
    readonly status: 'draft' | 'active';
    readonly language?: DocumentView['language'] | undefined;
  },
): Promise<DocumentView> {
  const authorId = tx.actor.userId;
  if (authorId === null) throw new AppError('FORBIDDEN', { detail: 'a document needs a person as author' });
  await holdProject(tx, input.projectId);
  const document = new Document();
  const { language, ...rest } = input;
  Object.assign(document, {
    id: newId(),
    orgId: tx.orgId,
    authorId,
    version: 1,
    contentHash: contentHash(input.title, input.content),
    ...rest,
  });
  // Left out, the database takes the project's.
  if (language !== undefined) document.language = language;
  tx.add(document);
  const view = await readDocument(tx, document.id);
  announce(tx, 'document.created', document);
  tx.audit({
    action: 'create',
    entityType: 'documents',
    entityId: document.id,
    before: null,
    after: auditable(fieldsOf(document)),
  });
  return view;
}

/** Changes title or content of the version the caller read. Throws NOT_FOUND, VERSION_CONFLICT. */
export async function updateDocument(
  tx: TenantTx,
  input: {
    readonly id: string;
    readonly version: number;
    readonly title?: string | undefined;
    readonly content?: string | undefined;
  },
): Promise<DocumentView> {
  const document = await documentById(tx, input.id);
  const before = fieldsOf(document);
  if (document.edit({ title: input.title, content: input.content, contentHash }, input.version)) {
    announce(tx, 'document.updated', document);
    tx.audit({
      action: 'update',
      entityType: 'documents',
      entityId: document.id,
      ...difference(before, fieldsOf(document)),
    });
  }
  return readDocument(tx, input.id);
}

/** Archives a document; doing it twice changes nothing. Throws NOT_FOUND. */
export async function archiveDocument(tx: TenantTx, id: string): Promise<DocumentView> {
  const document = await documentById(tx, id);
  const before = fieldsOf(document);
  if (document.become('archived')) {
    announce(tx, 'document.archived', document);
    tx.audit({ action: 'update', entityType: 'documents', entityId: id, ...difference(before, fieldsOf(document)) });
  }
  return readDocument(tx, id);
}

/** Marks a document deleted. Throws NOT_FOUND, also when it was deleted before. */
export async function deleteDocument(tx: TenantTx, id: string): Promise<{ id: string; status: 'deleted' }> {
  const document = await documentById(tx, id);
  const before = fieldsOf(document);
  document.become('deleted');
  announce(tx, 'document.deleted', document);
  tx.audit({ action: 'delete', entityType: 'documents', entityId: id, before: auditable(before), after: null });
  return { id, status: 'deleted' };
}

type DocumentChange = Extract<
  EventType,
  'document.created' | 'document.updated' | 'document.archived' | 'document.deleted'
>;

function announce(tx: TenantTx, type: DocumentChange, document: Document): void {
  tx.emit(type, { documentId: document.id, projectId: document.projectId, version: document.version }, document);
}

function fieldsOf(document: Document) {
  const { projectId, authorId, title, content, status, language, version } = document;
  return { projectId, authorId, title, content, status, language, version };
}
