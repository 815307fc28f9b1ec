/** Reads of projects. */
import type { ProjectView } from '@novax/contracts/api/projects';
import { AppError } from '@novax/runtime/errors';
import { LockMode } from '@mikro-orm/core';
import { Project } from '../entities/work.ts';
import { statement } from '../statement.ts';
import type { TenantTx } from '../tx.ts';
import { instant } from './instant.ts';

interface ProjectRow {
  readonly id: string;
  readonly org_id: string;
  readonly name: string;
  readonly description: string | null;
  readonly ai_context: ProjectView['aiContext'];
  readonly status: ProjectView['status'];
  readonly created_at: string | Date;
  readonly updated_at: string | Date;
}

const columns = 'id, org_id, name, description, ai_context, status, created_at, updated_at';

/** Values: project id. */
export const getProject = statement<ProjectRow>(
  'get_project',
  `select ${columns} from projects where id = $1::uuid and status <> 'deleted'`,
);

/** Values: organization id, cursor's created_at and id, rows at most. */
export const listProjects = statement<ProjectRow & { readonly cursor_at: string }>(
  'list_projects',
  `select ${columns}, created_at::text as cursor_at from projects
    where org_id = $1::uuid and status <> 'deleted' and (created_at, id) < ($2::timestamptz, $3::uuid)
    order by created_at desc, id desc limit $4`,
);

/** The row as the contract shows it. */
export function projectView(row: ProjectRow): ProjectView {
  return {
    id: row.id,
    organizationId: row.org_id,
    name: row.name,
    description: row.description ?? '',
    aiContext: row.ai_context,
    status: row.status,
    createdAt: instant(row.created_at),
    updatedAt: instant(row.updated_at),
  };
}

/** The project as this transaction left it. */
export async function readProject(tx: TenantTx, id: string): Promise<ProjectView> {
  await tx.flush();
  const [row] = await tx.sql(readInTx, [id]);
  if (row === undefined) throw new AppError('NOT_FOUND', { detail: `project ${id}` });
  return projectView(row);
}
const readInTx = statement<ProjectRow>('read_project', `select ${columns} from projects where id = $1::uuid`);

/** The row to change, locked. Throws NOT_FOUND, also for another organization's id and for a deleted one. */
export async function projectById(tx: TenantTx, id: string): Promise<Project> {
  const project = await tx.em.findOne(
    Project,
    { id, orgId: tx.orgId, status: { $ne: 'deleted' } },
    { lockMode: LockMode.PESSIMISTIC_WRITE },
  );
  if (project === null) throw new AppError('NOT_FOUND', { detail: `project ${id}` });
  return project;
}

/** Holds a live project still while something is put into it. Throws NOT_FOUND. */
export async function holdProject(tx: TenantTx, id: string): Promise<void> {
  const rows = await tx.sql(holdLive, [id, tx.orgId]);
  if (rows.length === 0) throw new AppError('NOT_FOUND', { detail: `project ${id}` });
}
const holdLive = statement<{ id: string }>(
  'hold_project',
  `select id from projects where id = $1::uuid and org_id = $2::uuid and status <> 'deleted' for key share`,
);
