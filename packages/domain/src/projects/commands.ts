/** What can be done to a project. */
import type { AiContext } from '@novax/contracts/ai-metadata';
import type { ProjectView } from '@novax/contracts/api/projects';
import type { EventType } from '@novax/contracts/events/registry';
import { auditable, difference } from '@novax/db/audit';
import { Project } from '@novax/db/entities/work';
import { projectById, readProject } from '@novax/db/queries/projects';
import type { TenantTx } from '@novax/db/tx';
import { newId } from '@novax/runtime/ids';

/** Creates a project in the transaction's organization. */
export async function createProject(
  tx: TenantTx,
  input: { readonly name: string; readonly description: string; readonly aiContext?: AiContext | undefined },
): Promise<ProjectView> {
  const project = new Project();
  const { name, description, aiContext = {} } = input;
  Object.assign(project, { id: newId(), orgId: tx.orgId, name, description, aiContext, status: 'active', version: 1 });
  tx.add(project);
  const view = await readProject(tx, project.id);
  announce(tx, 'project.created', project);
  tx.audit({
    action: 'create',
    entityType: 'projects',
    entityId: project.id,
    before: null,
    after: auditable(fieldsOf(project)),
  });
  return view;
}

/** Changes a project. Throws NOT_FOUND. */
export async function updateProject(
  tx: TenantTx,
  input: {
    readonly id: string;
    readonly name?: string | undefined;
    readonly description?: string | undefined;
    readonly aiContext?: AiContext | undefined;
  },
): Promise<ProjectView> {
  const { name, description, aiContext } = input;
  return change(tx, { id: input.id, type: 'project.updated' }, (project) => {
    project.name = name ?? project.name;
    project.description = description ?? project.description;
    project.aiContext = aiContext ?? project.aiContext;
  });
}

/** Archives a project; doing it twice changes nothing. Throws NOT_FOUND. */
export async function archiveProject(tx: TenantTx, id: string): Promise<ProjectView> {
  return change(tx, { id, type: 'project.archived' }, (project) => {
    project.status = 'archived';
  });
}

/** Marks a project deleted; its documents are hidden with it. Throws NOT_FOUND. */
export async function deleteProject(tx: TenantTx, id: string): Promise<{ id: string; status: 'deleted' }> {
  const project = await projectById(tx, id);
  const before = fieldsOf(project);
  project.status = 'deleted';
  project.version += 1;
  announce(tx, 'project.deleted', project);
  tx.audit({ action: 'delete', entityType: 'projects', entityId: id, before: auditable(before), after: null });
  return { id, status: 'deleted' };
}

type ProjectChange = Extract<EventType, 'project.created' | 'project.updated' | 'project.archived' | 'project.deleted'>;

async function change(
  tx: TenantTx,
  what: { readonly id: string; readonly type: ProjectChange },
  apply: (project: Project) => void,
): Promise<ProjectView> {
  const { id, type } = what;
  const project = await projectById(tx, id);
  const before = fieldsOf(project);
  apply(project);
  const changed = difference(before, fieldsOf(project));
  if (Object.keys(changed.after ?? {}).length > 0) {
    project.version += 1;
    announce(tx, type, project);
    tx.audit({ action: 'update', entityType: 'projects', entityId: id, ...changed });
  }
  return readProject(tx, id);
}

function announce(tx: TenantTx, type: ProjectChange, project: Project): void {
  tx.emit(type, { projectId: project.id }, project);
}

function fieldsOf(project: Project) {
  const { name, description, aiContext, status } = project;
  return { name, description, aiContext, status };
}
