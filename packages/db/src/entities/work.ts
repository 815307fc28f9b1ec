/** The ORM's view of the tables that commands change: organizations, projects, documents. Policies, indexes and triggers live in the SQL. */
import type { AiContext } from '@novax/contracts/ai-metadata';
import { AppError } from '@novax/runtime/errors';
import { defineEntity, p } from '@mikro-orm/core';

const OrganizationSchema = defineEntity({
  name: 'Organization',
  tableName: 'organizations',
  properties: {
    id: p.uuid().primary(),
    name: p.string(),
    slug: p.string(),
    settings: p.json<Record<string, unknown>>(),
    allowedDomains: p.array().$type<string[]>(),
    ownerId: p.uuid(),
    status: p.string().$type<'active' | 'suspended' | 'deleted'>(),
    version: p.integer(),
  },
});
/** A tenant. Made by a database function, so the ORM only changes it. */
export class Organization extends OrganizationSchema.class {}
OrganizationSchema.setClass(Organization);

const ProjectSchema = defineEntity({
  name: 'Project',
  tableName: 'projects',
  properties: {
    id: p.uuid().primary(),
    orgId: p.uuid(),
    name: p.string(),
    description: p.string(),
    aiContext: p.json<Partial<AiContext>>(),
    status: p.string().$type<'active' | 'archived' | 'deleted'>(),
    version: p.integer(),
  },
});
/** A project of one organization. */
export class Project extends ProjectSchema.class {}
ProjectSchema.setClass(Project);

const DocumentSchema = defineEntity({
  name: 'Document',
  tableName: 'documents',
  properties: {
    id: p.uuid().primary(),
    orgId: p.uuid(),
    projectId: p.uuid(),
    authorId: p.uuid(),
    title: p.string(),
    content: p.text(),
    contentHash: p.blob(),
    status: p.string().$type<'draft' | 'active' | 'archived' | 'deleted'>(),
    /** Null only before the first flush: the database gives a new document its project's language. */
    language: p.string().$type<'simple' | 'english' | 'indonesian'>().nullable(),
    version: p.integer(),
  },
});

/** A document. `version` rises only when a person changes title, content or status, never when an AI annotates. */
export class Document extends DocumentSchema.class {
  /** Changes title or content; answers false when nothing changes. Throws VERSION_CONFLICT unless `expected` is the current version. */
  edit(
    patch: {
      title?: string | undefined;
      content?: string | undefined;
      contentHash: (title: string, content: string) => Buffer;
    },
    expected: number,
  ): boolean {
    if (this.version !== expected) {
      throw new AppError('VERSION_CONFLICT', {
        detail: `document ${this.id} is at version ${this.version}, not ${expected}`,
      });
    }
    const title = patch.title ?? this.title;
    const content = patch.content ?? this.content;
    if (title === this.title && content === this.content) return false;
    this.title = title;
    this.content = content;
    this.contentHash = patch.contentHash(title, content);
    this.version += 1;
    return true;
  }

  /** Moves to another status; answers false when it is there already. */
  become(status: 'archived' | 'deleted'): boolean {
    if (this.status === status) return false;
    this.status = status;
    this.version += 1;
    return true;
  }
}
DocumentSchema.setClass(Document);

/** Everything the ORM maps. */
export const entities = [Organization, Project, Document];
