/** A fresh organization and a fresh caller for every cell of the authorization matrix, so that no cell can spoil another. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Action } from '@novax/contracts/permissions';
import { importJWK, SignJWT } from 'jose';
import type { Client } from 'pg';
import { newPerson, testPassword } from './actors.ts';
import type { TestApi } from './api.ts';
import { call } from './call.ts';
import type { Ids } from './world.ts';

/** Who calls: a person in every position, the same with credentials that are over, programs, and the internal AI. */
export const actorKinds = [
  'anonymous',
  'otherTenant',
  'viewer',
  'member',
  'admin',
  'owner',
  /** Owner of an organization that is suspended. */
  'ownerOfSuspended',
  /** An admin whose account is suspended. */
  'suspended',
  /** Was an admin until a moment ago. */
  'removed',
  'expiredSession',
  'expiredToken',
  /** A key of the owner's that may do everything but what the row needs. */
  'keyWithoutScope',
  /** A key of the owner's that may do what the row needs. */
  'keyWithScope',
  /** Has a database role and no identity at the API: what it can send is no credential. */
  'ai',
] as const;
export type ActorKind = (typeof actorKinds)[number];

/** One caller, and the things they call about. */
export interface Cell {
  readonly ids: Ids;
  /** Absent for callers without credentials. */
  readonly authorization: string | undefined;
  /** The caller's own things, for rows that name one; those of nobody for callers without an account. */
  readonly own: {
    readonly email: string;
    readonly refreshToken: string;
    readonly sessionId: string;
    readonly accountId: string;
    readonly invitationToken: string;
  };
}

export interface CellParts {
  readonly api: TestApi;
  /** Superuser, to make people and organizations faster than signing up would. */
  readonly admin: Client;
  /** Hash of `testPassword`, which everybody has. */
  readonly passwordHash: string;
}

/** What the generated input of a row lacks to succeed: secrets and things of the caller's own. */
export const ownInputs: Readonly<Record<string, (own: Cell['own']) => Record<string, unknown>>> = {
  'auth.login': ({ email }) => ({ email, password: testPassword }),
  'auth.refresh': ({ refreshToken }) => ({ refreshToken }),
  'auth.revokeSession': ({ sessionId }) => ({ id: sessionId }),
  'auth.unlinkAccount': ({ accountId }) => ({ id: accountId }),
  'members.acceptInvitation': ({ invitationToken }) => ({ token: invitationToken }),
  'users.erase': () => ({ password: testPassword }),
};

/** What everybody in a cell has as their password's hash: made once, because hashing is slow. */
export async function hashOfTestPassword(api: TestApi, admin: Client): Promise<string> {
  const { id } = await newPerson(api);
  const { rows } = await admin.query<{ hash: string }>('select password_hash as hash from users where id = $1', [id]);
  return rows[0]?.hash ?? '';
}

/** Makes the world of one cell; `scopes` are those of the key, for callers that are keys. */
export async function makeCell(parts: CellParts, actor: ActorKind, scopes: readonly Action[]): Promise<Cell> {
  const { api, admin, passwordHash } = parts;
  const id = Object.fromEntries(names.map((name) => [name, randomUUID()])) as Record<(typeof names)[number], string>;
  const isOwner = actor === 'owner' || actor === 'ownerOfSuspended';
  const callerId = isOwner ? id.owner : id.caller;
  const email = `${callerId}@example.test`;
  const secrets = { sid: secret(), ownerSid: secret(), refresh: secret(), invitation: secret() };
  await admin.query(
    [
      ...[id.owner, id.caller, id.spare].map((person) => insertPerson(person, passwordHash)),
      insertOrganization(id.organization, id.owner),
      insertOrganization(id.elsewhere, actor === 'otherTenant' ? id.caller : id.spare),
      insertMember(id.organization, id.spare, 'viewer'),
      ...(isOwner || actor === 'otherTenant' ? [] : [insertMember(id.organization, id.caller, roleOf(actor))]),
      `insert into projects (id, org_id, name) values ('${id.project}', '${id.organization}', 'A project')`,
      `insert into documents (id, org_id, project_id, author_id, title, content)
       values ('${id.document}', '${id.organization}', '${id.project}', '${id.owner}', 'A document', 'Words.')`,
      insertInvitation(id.invitation, { organization: id.organization, owner: id.owner, email: 'guest@example.test' }),
      `insert into api_keys (id, org_id, creator_id, name, prefix, key_hash)
       values ('${id.key}', '${id.organization}', '${id.owner}', 'A key', 'nvx_test', ${sha256(secret())})`,
      insertSession(id.session, { person: callerId, sid: secrets.sid, over: actor === 'expiredSession' }),
      insertSession(id.second, { person: callerId, sid: secret(), over: false }),
      insertSession(id.owners, { person: id.owner, sid: secrets.ownerSid, over: false }),
      `insert into refresh_tokens (session_id, family_id, token_hash, expires_at)
       values ('${id.owners}', gen_random_uuid(), ${sha256(secrets.refresh)}, now() + interval '1 day')`,
      `insert into oauth_accounts (id, user_id, provider, subject) values ('${id.account}', '${callerId}', 'test', '${id.account}')`,
      ...(actor === 'removed' ? [`delete from org_members where user_id = '${id.caller}'`] : []),
      insertInvitation(id.offer, { organization: id.organization, owner: id.owner, email, token: secrets.invitation }),
    ].join(';\n'),
  );
  if (actor === 'suspended') await admin.query(`update users set status = 'suspended' where id = $1`, [id.caller]);
  if (actor === 'ownerOfSuspended')
    await admin.query(`update organizations set status = 'suspended' where id = $1`, [id.organization]);
  const ownerToken = await accessToken(api, { userId: id.owner, sid: secrets.ownerSid });
  const callerToken = await accessToken(api, { userId: callerId, sid: secrets.sid, over: actor === 'expiredToken' });
  return {
    ids: {
      organizationId: id.organization,
      projectId: id.project,
      documentId: id.document,
      ownerId: id.owner,
      memberId: id.spare,
      invitationId: id.invitation,
      apiKeyId: id.key,
    },
    authorization: await credential(api, {
      actor,
      callerToken,
      key: () => makeKey(api, { organizationId: id.organization, ownerToken, scopes }),
    }),
    own: {
      email: `${id.owner}@example.test`,
      refreshToken: `${secrets.ownerSid}.${secrets.refresh}`,
      sessionId: id.second,
      accountId: id.account,
      invitationToken: secrets.invitation,
    },
  };
}

/** Value of the Authorization header of a new session of somebody, made without their password. */
export async function newSession(parts: Pick<CellParts, 'api' | 'admin'>, userId: string): Promise<string> {
  const sid = secret();
  await parts.admin.query(insertSession(randomUUID(), { person: userId, sid, over: false }));
  return `Bearer ${await accessToken(parts.api, { userId, sid })}`;
}

const names = [
  'owner',
  'caller',
  'spare',
  'organization',
  'elsewhere',
  'project',
  'document',
  'invitation',
  'offer',
  'key',
  'session',
  'second',
  'owners',
  'account',
] as const;

function secret(): string {
  return randomBytes(32).toString('base64url');
}

/** As SQL; what is hashed here is letters and digits. */
function sha256(text: string): string {
  return `'\\x${createHash('sha256').update(text).digest('hex')}'`;
}

function roleOf(actor: ActorKind): string {
  return actor === 'viewer' || actor === 'member' ? actor : 'admin';
}

function insertPerson(id: string, passwordHash: string): string {
  const name = id.replaceAll('-', '');
  return `insert into users (id, email, email_normalized, username, username_normalized, password_hash, email_verified_at)
          values ('${id}', '${id}@example.test', '${id}@example.test', '${name}', '${name}', '${passwordHash}', now())`;
}

function insertOrganization(id: string, owner: string): string {
  return `insert into organizations (id, name, slug, owner_id) values ('${id}', 'Cell', '${id}', '${owner}');
          insert into org_stats (org_id) values ('${id}');
          ${insertMember(id, owner, 'owner')}`;
}

function insertMember(organization: string, person: string, role: string): string {
  return `insert into org_members (org_id, user_id, role) values ('${organization}', '${person}', '${role}')`;
}

function insertInvitation(
  id: string,
  about: { organization: string; owner: string; email: string; token?: string },
): string {
  const { organization, owner, email, token = secret() } = about;
  return `insert into invitations (id, org_id, inviter_id, email, email_normalized, token_hash, expires_at)
          values ('${id}', '${organization}', '${owner}', '${email}', '${email}', ${sha256(token)}, now() + interval '7 days')`;
}

function insertSession(id: string, about: { person: string; sid: string; over: boolean }): string {
  const idleEnd = about.over ? `now() - interval '1 minute'` : `now() + interval '1 day'`;
  return `insert into sessions (id, user_id, sid_hash, idle_expires_at, absolute_expires_at)
          values ('${id}', '${about.person}', ${sha256(about.sid)}, ${idleEnd}, now() + interval '90 days')`;
}

/** As the API signs them; `over` ended a minute ago and more, beyond what clocks may differ by. */
async function accessToken(api: TestApi, token: { userId: string; sid: string; over?: boolean }): Promise<string> {
  const now = Math.floor(Date.now() / 1000) - (token.over === true ? 3_600 : 0);
  const { signingKey, env } = api;
  return new SignJWT({ sid: token.sid })
    .setProtectedHeader({ alg: 'EdDSA', kid: signingKey.kid ?? '', typ: 'at+jwt' })
    .setSubject(token.userId)
    .setIssuer(env.JWT_ISSUER)
    .setAudience(env.JWT_AUDIENCE)
    .setIssuedAt(now)
    .setExpirationTime(now + 600)
    .sign(await importJWK(signingKey, 'EdDSA'));
}

/** What a kind of caller sends along. */
async function credential(
  api: TestApi,
  caller: { actor: ActorKind; callerToken: string; key: () => Promise<string> },
): Promise<string | undefined> {
  const { actor, callerToken, key } = caller;
  if (actor === 'anonymous') return undefined;
  // The nearest that the AI has to a credential: its role at the database.
  if (actor === 'ai') return `Bearer ${new URL(api.database.url('novax_ai')).username}`;
  if (actor === 'keyWithScope' || actor === 'keyWithoutScope') return `Bearer ${await key()}`;
  return `Bearer ${callerToken}`;
}

/** A key made as its owner would, through the API. Throws what the API said when it made none. */
async function makeKey(
  api: TestApi,
  key: { organizationId: string; ownerToken: string; scopes: readonly Action[] },
): Promise<string> {
  const { organizationId, ownerToken, scopes } = key;
  const answer = await call(api.url, 'apiKeys.create', {
    input: { organizationId, name: 'Of a cell', scopes },
    authorization: `Bearer ${ownerToken}`,
  });
  if (answer.code !== undefined) throw new Error(`no API key could be made: ${answer.text}`);
  // The contract's own output, checked by the API before it was sent.
  return (answer.data as { key: string }).key;
}
