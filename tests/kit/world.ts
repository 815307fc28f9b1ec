/** Everything an organization can hold, and a valid input for every procedure of the contract about it. */
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { contract } from '@novax/contracts/api/contract';
import { type Actors, addMember, makeActors, newPerson, testPassword, unique } from './actors.ts';
import type { TestApi } from './api.ts';
import { connect } from './database.ts';
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
  /** A viewer who is none of the actors. */
  readonly memberId: string;
  readonly invitationId: string;
  readonly apiKeyId: string;
}

/** An organization with a person in each role, a project and a document; and an outsider who has the same elsewhere. */
export async function makeWorld(api: TestApi): Promise<World & { readonly outsiderIds: Ids }> {
  const actors = await makeActors(api);
  const things = async ({ client, id: ownerId }: Actors['owner'], organizationId: string): Promise<Ids> => {
    const { id: projectId } = await makeProject(client, { organizationId });
    const { id: documentId } = await makeDocument(client, { projectId });
    const spare = await newPerson(api, 'spare');
    await addMember(api, { organizationId, userId: spare.id, role: 'viewer' });
    const { invitationId, apiKeyId } = await offers(api, { organizationId, ownerId });
    return { organizationId, projectId, documentId, ownerId, memberId: spare.id, invitationId, apiKeyId };
  };
  const [ids, outsiderIds] = await Promise.all([
    things(actors.owner, actors.organizationId),
    things(actors.outsider, actors.outsiderOrganizationId),
  ]);
  return { api, actors, ids, outsiderIds };
}

/** An invitation and an API key, behind the API's back: tests of either make their own. */
async function offers(
  api: TestApi,
  { organizationId, ownerId }: { organizationId: string; ownerId: string },
): Promise<{ invitationId: string; apiKeyId: string }> {
  await using admin = await connect(api.database.adminUrl);
  const { rows } = await admin.query<{ invitation: string; key: string }>(
    `with i as (insert into invitations (org_id, inviter_id, email, email_normalized, token_hash, expires_at)
                values ($1, $2, $3, $3, sha256(gen_random_uuid()::text::bytea), now() + interval '7 days') returning id),
          k as (insert into api_keys (org_id, creator_id, name, prefix, key_hash, scopes)
                values ($1, $2, 'A key', 'nvx_test', sha256(gen_random_uuid()::text::bytea), '{document:read}') returning id)
     select i.id as invitation, k.id as key from i, k`,
    [organizationId, ownerId, `${unique('guest')}@example.test`],
  );
  const [made] = rows;
  if (made === undefined) throw new Error('no invitation and no key were made');
  return { invitationId: made.invitation, apiKeyId: made.key };
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
    verifyEmail: () => ({ token: 'x'.repeat(43) }),
    requestEmailVerification: () => ({}),
    // To the same one, so that whoever it succeeds for can still sign in.
    changePassword: () => ({ currentPassword: testPassword, newPassword: testPassword }),
    requestPasswordReset: () => ({ email: `${unique('nobody')}@example.test` }),
    resetPassword: () => ({ token: 'x'.repeat(43), newPassword: testPassword }),
    listSessions: () => ({}),
    revokeSession: () => ({ id: randomUUID() }),
    oauthProviders: () => ({}),
    oauthStart: () => ({ provider: 'nowhere' }),
    oauthLink: () => ({ provider: 'nowhere' }),
    oauthCallback: () => ({ flow: 'x'.repeat(43), callbackUrl: 'https://app.example.test/callback?code=x&state=y' }),
    listAccounts: () => ({}),
    unlinkAccount: () => ({ id: randomUUID() }),
    enrolTotp: () => ({}),
    confirmTotp: () => ({ code: '000000' }),
    disableTotp: () => ({ code: '000000' }),
  },
  users: {
    me: () => ({}),
    updateProfile: () => ({ profileMetadata: { locale: 'en' } }),
    exportData: () => ({}),
    erase: () => ({ password: 'not the password', confirm: 'erase me' }),
  },
  organizations: {
    create: () => ({ name: 'New', slug: unique('new') }),
    get: ({ organizationId }) => ({ id: organizationId }),
    list: () => ({}),
    update: ({ organizationId }) => ({ id: organizationId, name: unique('Renamed ') }),
    // To oneself, so that the world stays as the other tests expect it.
    transferOwnership: ({ organizationId, ownerId }) => ({ id: organizationId, toUserId: ownerId }),
    delete: ({ organizationId }) => ({ id: organizationId }),
  },
  members: {
    list: ({ organizationId }) => ({ organizationId }),
    invite: ({ organizationId }) => ({ organizationId, email: `${unique('invited')}@example.test` }),
    listInvitations: ({ organizationId }) => ({ organizationId }),
    revokeInvitation: ({ invitationId }) => ({ id: invitationId }),
    acceptInvitation: () => ({ token: 'x'.repeat(43) }),
    updateRole: ({ organizationId, memberId }) => ({ organizationId, userId: memberId, role: 'member' }),
    remove: ({ organizationId, memberId }) => ({ organizationId, userId: memberId }),
    leave: ({ organizationId }) => ({ organizationId }),
  },
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
  apiKeys: {
    create: ({ organizationId }) => ({ organizationId, name: unique('key'), scopes: ['document:read'] }),
    list: ({ organizationId }) => ({ organizationId }),
    revoke: ({ apiKeyId }) => ({ id: apiKeyId }),
  },
  audit: {
    list: ({ organizationId }) => ({ organizationId }),
    export: ({ organizationId }) => ({ organizationId }),
    verify: ({ organizationId }) => ({ organizationId }),
  },
};

/** A valid input for the procedure of that path. Throws for a path that is not in the contract. */
export function validInput(path: string, ids: Ids): Record<string, unknown> {
  const [feature = '', verb = ''] = path.split('.');
  const makers: Record<string, Record<string, (ids: Ids) => Record<string, unknown>>> = validInputs;
  const make = makers[feature]?.[verb];
  if (make === undefined) throw new Error(`no valid input is known for ${path}`);
  return make(ids);
}
