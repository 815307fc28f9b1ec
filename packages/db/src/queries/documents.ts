/** Reads of documents: the lane's statements and the row a command changes. */
import type { DocumentListItem, DocumentView } from '@novax/contracts/api/documents';
import { aiSummarySchema } from '@novax/contracts/ai-metadata';
import { AppError } from '@novax/runtime/errors';
import { LockMode } from '@mikro-orm/core';
import { Document } from '../entities/work.ts';
import { statement } from '../statement.ts';
import type { TenantTx } from '../tx.ts';
import { instant } from './instant.ts';

export interface DocumentRow {
  readonly id: string;
  readonly org_id: string;
  readonly project_id: string;
  readonly author_id: string;
  readonly title: string;
  readonly status: DocumentView['status'];
  readonly language: DocumentView['language'];
  readonly version: number;
  readonly ai_summary: unknown;
  readonly created_at: string | Date;
  readonly updated_at: string | Date;
}
interface WholeRow extends DocumentRow {
  readonly content: string;
}

const columns =
  'd.id, d.org_id, d.project_id, d.author_id, d.title, d.status, d.language, d.version, d.ai_summary, d.created_at, d.updated_at';
const ofLiveProject = `join projects p on p.org_id = d.org_id and p.id = d.project_id and p.status <> 'deleted'`;

/** Values: document id. */
export const getDocument = statement<WholeRow>(
  'get_document',
  `select ${columns}, d.content from documents d ${ofLiveProject} where d.id = $1::uuid and d.status <> 'deleted'`,
);

/** Values: project id, cursor's created_at and id, rows at most. */
export const listDocuments = statement<DocumentRow & { readonly cursor_at: string }>(
  'list_documents',
  `select ${columns}, d.created_at::text as cursor_at from documents d ${ofLiveProject}
    where d.project_id = $1::uuid and d.status <> 'deleted' and (d.created_at, d.id) < ($2::timestamptz, $3::uuid)
    order by d.created_at desc, d.id desc limit $4`,
);

/** The row as the contract shows it, without content. */
export function documentListItem(row: DocumentRow): DocumentListItem {
  const summary = aiSummarySchema.safeParse(row.ai_summary);
  return {
    id: row.id,
    organizationId: row.org_id,
    projectId: row.project_id,
    authorId: row.author_id,
    title: row.title,
    status: row.status,
    language: row.language,
    version: row.version,
    aiSummary: summary.success ? summary.data : null,
    createdAt: instant(row.created_at),
    updatedAt: instant(row.updated_at),
  };
}

/** The row as the contract shows it, whole. */
export function documentView(row: WholeRow): DocumentView {
  return { ...documentListItem(row), content: row.content };
}

/** The document as this transaction left it. */
export async function readDocument(tx: TenantTx, id: string): Promise<DocumentView> {
  await tx.flush();
  const [row] = await tx.sql(readInTx, [id]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `document ${id}` });
  return documentView(row);
}
const readInTx = statement<WholeRow>(
  'read_document',
  `select ${columns}, d.content from documents d where d.id = $1::uuid`,
);

/** The row to change, locked. Throws NOT_FOUND, also for another organization's id and for a deleted one. */
export async function documentById(tx: TenantTx, id: string): Promise<Document> {
  const document = await tx.em.findOne(
    Document,
    { id, orgId: tx.orgId, status: { $ne: 'deleted' } },
    { lockMode: LockMode.PESSIMISTIC_WRITE },
  );
  if (document === null) throw new AppError('NOT_FOUND', { detail: `document ${id}` });
  return document;
}
