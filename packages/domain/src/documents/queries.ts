/** Reads of documents through the read lane. */
import type { DocumentListItem, DocumentView } from '@novax/contracts/api/documents';
import type { Page } from '@novax/contracts/page';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import {
  documentListItem,
  documentView,
  getDocument,
  listDocuments as listStatement,
} from '@novax/db/queries/documents';
import { AppError } from '@novax/runtime/errors';
import { requireProject } from '../projects/queries.ts';
import type { Reader } from '../reader.ts';

/** One document. Throws NOT_FOUND. */
export async function documentById(reader: Reader, id: string): Promise<DocumentView> {
  const [row] = await reader.read(getDocument, [id]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `document ${id}` });
  return documentView(row);
}

/** A project's documents, newest first. Throws NOT_FOUND when the project is not the caller's to see. */
export async function listDocuments(
  reader: Reader,
  input: { readonly projectId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<DocumentListItem>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [input.projectId, at, id, input.limit + 1]);
  if (rows.length === 0) await requireProject(reader, input.projectId);
  return toPage(rows, input.limit, documentListItem);
}
