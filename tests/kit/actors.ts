/** People in every position towards one organization, all signed up through the API. */
import { randomBytes } from 'node:crypto';
import { createNovaxClient, type NovaxClient } from '@novax/client/client';
import type { Role } from '@novax/contracts/permissions';
import type { TestApi } from './api.ts';
import { connect } from './database.ts';

export interface Person {
  readonly id: string;
  readonly email: string;
  readonly username: string;
  readonly password: string;
  readonly client: NovaxClient;
  /** Value of the Authorization header. */
  readonly authorization: string;
}

/** Letters and digits, different every time. */
export function unique(prefix = 'x'): string {
  return `${prefix}${randomBytes(6).toString('hex')}`;
}

export const testPassword = 'correct horse battery staple';

/** Signs a new person up; `fetch` makes the calls of their client. */
export async function newPerson(
  api: Pick<TestApi, 'url'> & { readonly fetch?: typeof fetch },
  name = 'person',
): Promise<Person> {
  const username = unique(name);
  const email = `${username}@example.test`;
  const client = createNovaxClient({ url: api.url, ...(api.fetch === undefined ? {} : { fetch: api.fetch }) });
  const { id } = await client.session.register({ email, username, password: testPassword });
  return {
    id,
    email,
    username,
    password: testPassword,
    client,
    authorization: `Bearer ${client.session.tokens()?.accessToken}`,
  };
}

export interface Actors {
  readonly owner: Person;
  readonly admin: Person;
  readonly member: Person;
  readonly viewer: Person;
  /** Owner of another organization, member of nothing here. */
  readonly outsider: Person;
  readonly organizationId: string;
  readonly outsiderOrganizationId: string;
}

/** One organization with a person in each role, and an outsider with an organization of their own. */
export async function makeActors(api: TestApi): Promise<Actors> {
  const [owner, admin, member, viewer, outsider] = await Promise.all([
    newPerson(api, 'owner'),
    newPerson(api, 'admin'),
    newPerson(api, 'member'),
    newPerson(api, 'viewer'),
    newPerson(api, 'outsider'),
  ]);
  const { id: organizationId } = await owner.client.organizations.create.mutate({
    name: 'Victim',
    slug: unique('victim'),
  });
  const { id: outsiderOrganizationId } = await outsider.client.organizations.create.mutate({
    name: 'Other',
    slug: unique('other'),
  });
  await addMember(api, { organizationId, userId: admin.id, role: 'admin' });
  await addMember(api, { organizationId, userId: member.id, role: 'member' });
  await addMember(api, { organizationId, userId: viewer.id, role: 'viewer' });
  return { owner, admin, member, viewer, outsider, organizationId, outsiderOrganizationId };
}

/** Makes somebody a member behind the API's back. */
export async function addMember(
  api: TestApi,
  membership: { organizationId: string; userId: string; role: Role },
): Promise<void> {
  await using admin = await connect(api.database.adminUrl);
  const { organizationId, userId, role } = membership;
  await admin.query('insert into org_members (org_id, user_id, role) values ($1, $2, $3)', [
    organizationId,
    userId,
    role,
  ]);
}
