/** Reads of projects through the read lane. */
import type { ProjectView } from '@novax/contracts/api/projects';
import type { Page } from '@novax/contracts/page';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import { getProject, listProjects as listStatement, projectView } from '@novax/db/queries/projects';
import { AppError } from '@novax/runtime/errors';
import { requireMembership } from '../organizations/queries.ts';
import type { Reader } from '../reader.ts';

/** One project. Throws NOT_FOUND. */
export async function projectById(reader: Reader, id: string): Promise<ProjectView> {
  const [row] = await reader.read(getProject, [id]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `project ${id}` });
  return projectView(row);
}

/** Throws NOT_FOUND unless the caller can see the project: an empty list of a hidden project must not look like one of an empty project. */
export async function requireProject(reader: Reader, id: string): Promise<void> {
  await projectById(reader, id);
}

/** An organization's projects, newest first. Throws NOT_FOUND for an organization that is not the caller's. */
export async function listProjects(
  reader: Reader,
  input: { readonly organizationId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<ProjectView>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [input.organizationId, at, id, input.limit + 1]);
  if (rows.length === 0) await requireMembership(reader, input.organizationId);
  return toPage(rows, input.limit, projectView);
}
