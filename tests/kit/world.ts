/** Everything an organization can hold, and a valid input for every procedure of the contract about it. */
import type { z } from 'zod';
import type { contract } from '@novax/contracts/api/contract';
import { type Actors, makeActors, testPassword, unique } from './actors.ts';
import type { TestApi } from './api.ts';
import { makeDocument, makeProject } from './factories.ts';

export interface World {
  readonly api: TestApi;
  readonly actors: Actors;
  /** Ids of one organization's things. */
  readonly ids: Ids;
}

export interface Ids {
  readonly organizationId: string;
  readonly projectId: string;
  readonly documentId: string;
  readonly ownerId: string;
}

/** An organization with a person in each role, a project and a document; and an outsider who has the same elsewhere. */
export async function makeWorld(api: TestApi): Promise<World & { readonly outsiderIds: Ids }> {
  const actors = await makeActors(api);
  const things = async ({ client, id: ownerId }: Actors['owner'], organizationId: string): Promise<Ids> => {
    const { id: projectId } = await makeProject(client, { organizationId });
    const { id: documentId } = await makeDocument(client, { projectId });
    return { organizationId, projectId, documentId, ownerId };
  };
  const [ids, outsiderIds] = await Promise.all([
    things(actors.owner, actors.organizationId),
    things(actors.outsider, actors.outsiderOrganizationId),
  ]);
  return { api, actors, ids, outsiderIds };
}

type Contract = typeof contract;
type InputMakers = {
  readonly [F in keyof Contract]: {
    readonly [V in keyof Contract[F]]: (
      ids: Ids,
    ) => Contract[F][V] extends { input: infer I extends z.ZodType } ? z.input<I> : never;
  };
};

/** A valid input per procedure: total by type, so that a new procedure cannot be left out of the tests made from this. */
export const validInputs: InputMakers = {
  auth: {
    register: () => ({ email: `${unique('mail')}@example.test`, username: unique('user'), password: testPassword }),
    login: () => ({ email: `${unique('nobody')}@example.test`, password: testPassword }),
    refresh: () => ({ refreshToken: 'not.one' }),
    logout: () => ({}),
  },
  users: { me: () => ({}) },
  organizations: {
    create: () => ({ name: 'New', slug: unique('new') }),
    get: ({ organizationId }) => ({ id: organizationId }),
    list: () => ({}),
    update: ({ organizationId }) => ({ id: organizationId, name: unique('Renamed ') }),
    // To oneself, so that the world stays as the other tests expect it.
    transferOwnership: ({ organizationId, ownerId }) => ({ id: organizationId, toUserId: ownerId }),
    delete: ({ organizationId }) => ({ id: organizationId }),
  },
  members: { list: ({ organizationId }) => ({ organizationId }) },
  projects: {
    create: ({ organizationId }) => ({ organizationId, name: unique('project') }),
    get: ({ projectId }) => ({ id: projectId }),
    list: ({ organizationId }) => ({ organizationId }),
    update: ({ projectId }) => ({ id: projectId, name: unique('renamed') }),
    archive: ({ projectId }) => ({ id: projectId }),
    delete: ({ projectId }) => ({ id: projectId }),
  },
  documents: {
    create: ({ projectId }) => ({ projectId, title: unique('title'), content: 'Some content.' }),
    get: ({ documentId }) => ({ id: documentId }),
    list: ({ projectId }) => ({ projectId }),
    update: ({ documentId }) => ({ id: documentId, version: 1, title: unique('retitled') }),
    archive: ({ documentId }) => ({ id: documentId }),
    delete: ({ documentId }) => ({ id: documentId }),
  },
  search: { query: ({ organizationId }) => ({ organizationId, q: 'words', mode: 'fulltext' }) },
};

/** A valid input for the procedure of that path. Throws for a path that is not in the contract. */
export function validInput(path: string, ids: Ids): Record<string, unknown> {
  const [feature = '', verb = ''] = path.split('.');
  const makers: Record<string, Record<string, (ids: Ids) => Record<string, unknown>>> = validInputs;
  const make = makers[feature]?.[verb];
  if (make === undefined) throw new Error(`no valid input is known for ${path}`);
  return make(ids);
}
