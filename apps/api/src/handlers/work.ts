/** Handlers of `projects`, `documents` and `search`. */
import { archiveDocument, createDocument, deleteDocument, updateDocument } from '@novax/domain/documents/commands';
import { documentById, listDocuments } from '@novax/domain/documents/queries';
import { archiveProject, createProject, deleteProject, updateProject } from '@novax/domain/projects/commands';
import { listProjects, projectById } from '@novax/domain/projects/queries';
import { searchDocuments } from '@novax/domain/search/queries';
import type { Handlers } from '../context.ts';
import { mutable } from './tenants.ts';

export const projectHandlers: Handlers['projects'] = {
  create: ({ tx }, input) => createProject(tx, input),
  get: ({ reader }, { id }) => projectById(reader, id),
  list: async ({ reader }, input) => mutable(await listProjects(reader, input)),
  update: ({ tx }, input) => updateProject(tx, input),
  archive: ({ tx }, { id }) => archiveProject(tx, id),
  delete: ({ tx }, { id }) => deleteProject(tx, id),
};

export const documentHandlers: Handlers['documents'] = {
  create: ({ tx }, input) => createDocument(tx, input),
  get: ({ reader }, { id }) => documentById(reader, id),
  list: async ({ reader }, input) => mutable(await listDocuments(reader, input)),
  update: ({ tx }, input) => updateDocument(tx, input),
  archive: ({ tx }, { id }) => archiveDocument(tx, id),
  delete: ({ tx }, { id }) => deleteDocument(tx, id),
};

export const searchHandlers: Handlers['search'] = {
  async query({ services, reader, searcher }, input) {
    const started = performance.now();
    const { embedder, searchEngine: engine, answers, searchKeepMs: keepMs, metrics } = services;
    const onNearest = (path: string, seconds: number): void => metrics.vectorSearchDuration.observe({ path }, seconds);
    const answer = await searchDocuments({ reader, searcher, embedder, engine, answers, keepMs, onNearest }, input);
    const tookMs = performance.now() - started;
    metrics.searchDuration.observe({ mode: input.mode, engine: answer.engine }, tookMs / 1000);
    return { ...answer, tookMs: Math.round(tookMs * 10) / 10 };
  },
};
