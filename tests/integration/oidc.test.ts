/** Signing in with an identity provider, end to end against a real one: new people, known ones, linking, unlinking, and who is kept out. */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, type Person, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { type Answer, call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { type ProviderPerson, startOidcProvider, type TestOidcProvider } from '../kit/oidc-provider.ts';

let provider: TestOidcProvider;
let second: TestOidcProvider;
let api: TestApi;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  [provider, second] = await Promise.all([startOidcProvider('first'), startOidcProvider('second')]);
  api = await startTestApi({
    env: {
      OIDC_PROVIDERS: [provider.settings, second.settings],
      OUTBOUND_ALLOW: [provider.settings.issuer, second.settings.issuer],
    },
  });
  admin = await connect(api.database.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
  await Promise.all([provider, second].map((it) => it[Symbol.asyncDispose]()));
});

interface SignedIn {
  readonly user: { readonly id: string; readonly email: string; readonly username: string };
  readonly accessToken: string;
  readonly refreshToken: string;
}
interface Flow {
  readonly authorizationUrl: string;
  readonly flow: string;
  readonly expiresAt: string;
}

/** A subject at the provider who has a verified address, unless told otherwise. */
function subject(changes: ProviderPerson = {}, at = provider): string {
  const name = unique('sub');
  at.people.set(name, { email: `${name}@mail.test`, email_verified: true, preferred_username: name, ...changes });
  return name;
}

async function begin(at = provider, authorization?: string): Promise<Flow> {
  const path = authorization === undefined ? 'auth.oauthStart' : 'auth.oauthLink';
  const answer = await call(api.url, path, { input: { provider: at.settings.id }, authorization });
  expect(answer.status, answer.text).toBe(200);
  // The contract's own output, checked by the API before it was sent.
  return answer.data as Flow;
}

/** The whole way: begin, sign in at the provider, come back. With an authorization, links. */
async function arrive(sub: string, at = provider, authorization?: string): Promise<Answer> {
  const { authorizationUrl, flow } = await begin(at, authorization);
  const callbackUrl = await at.authorize(authorizationUrl, sub);
  return call(api.url, 'auth.oauthCallback', { input: { flow, callbackUrl } });
}

async function signedIn(sub: string, at = provider): Promise<SignedIn> {
  const answer = await arrive(sub, at);
  expect(answer.status, answer.text).toBe(200);
  return answer.data as SignedIn;
}

const as = ({ accessToken }: { accessToken: string }): string => `Bearer ${accessToken}`;
const me = (authorization: string): Promise<Answer> => call(api.url, 'users.me', { input: {}, authorization });
async function accounts(authorization: string): Promise<{ id: string; provider: string; email: string | null }[]> {
  const answer = await call(api.url, 'auth.listAccounts', { input: {}, authorization });
  expect(answer.status, answer.text).toBe(200);
  return (answer.data as { items: { id: string; provider: string; email: string | null }[] }).items;
}
const unlink = (authorization: string, id: string): Promise<Answer> =>
  call(api.url, 'auth.unlinkAccount', { input: { id }, authorization });
async function trail(userId: string): Promise<string[]> {
  const { rows } = await admin.query<{ entry: string }>(
    `select action || ' ' || entity_type as entry from audit_log where actor_id = $1 order by id`,
    [userId],
  );
  return rows.map(({ entry }) => entry);
}

test('the providers that one can sign in with are public, and nothing of their settings is', async () => {
  const answer = await call(api.url, 'auth.oauthProviders', { input: {} });
  expect(answer.data).toEqual({
    items: [
      { id: 'first', name: 'Provider first' },
      { id: 'second', name: 'Provider second' },
    ],
  });
});

test('an unknown provider is not found, for signing in and for linking', async () => {
  const { authorization } = await newPerson(api);
  for (const path of ['auth.oauthStart', 'auth.oauthLink'])
    expect(await call(api.url, path, { input: { provider: 'nowhere' }, authorization })).toMatchObject({
      code: 'NOT_FOUND',
    });
});

test('a new subject with a verified address becomes a person who is signed in and on record', async () => {
  const sub = subject({ preferred_username: 'Zoë Ångström', email: 'Zoe@Mail.Test' });
  const made = await signedIn(sub);
  expect(made.user).toMatchObject({ email: 'Zoe@Mail.Test', username: 'Zoe-Angstrom' });
  expect((await me(as(made))).data).toMatchObject({ id: made.user.id, emailVerified: true, status: 'active' });
  expect(await accounts(as(made))).toEqual([
    {
      id: expect.any(String),
      provider: 'first',
      email: 'Zoe@Mail.Test',
      createdAt: expect.any(String),
      lastUsedAt: expect.any(String),
    },
  ]);
  expect(await trail(made.user.id)).toEqual(['create users', 'create oauth_accounts', 'create sessions']);
  const { rows } = await admin.query('select event_type, actor_id from events where aggregate_id = $1', [made.user.id]);
  expect(rows).toEqual([{ event_type: 'user.registered', actor_id: made.user.id }]);
});

test('the session renews and ends like any other', async () => {
  const made = await signedIn(subject());
  const renewed = await call(api.url, 'auth.refresh', { input: { refreshToken: made.refreshToken } });
  expect(renewed.status, renewed.text).toBe(200);
  expect((await me(as(renewed.data as SignedIn))).data).toMatchObject({ id: made.user.id });
  await call(api.url, 'auth.logout', { input: {}, authorization: as(made) });
  expect(await call(api.url, 'auth.refresh', { input: { refreshToken: made.refreshToken } })).toMatchObject({
    code: 'UNAUTHENTICATED',
  });
});

test('the same subject is the same person again, whatever has become of the address and the name', async () => {
  const sub = subject();
  const first = await signedIn(sub);
  provider.people.set(sub, { email: `${unique('moved')}@mail.test`, email_verified: false });
  const again = await signedIn(sub);
  expect(again.user).toEqual(first.user);
  expect((await trail(first.user.id)).slice(-2)).toEqual(['access oauth_accounts', 'create sessions']);
});

test('one subject name at two providers is two people', async () => {
  const sub = subject();
  second.people.set(sub, { email: `${unique('other')}@mail.test`, email_verified: true });
  const [one, other] = [await signedIn(sub), await signedIn(sub, second)];
  expect(other.user.id).not.toBe(one.user.id);
});

test('people of one name get names of their own', async () => {
  const wish = unique('same');
  const names = [];
  for (let count = 0; count < 3; count++)
    names.push((await signedIn(subject({ preferred_username: wish }))).user.username);
  expect(names[0]).toBe(wish);
  expect(new Set(names).size).toBe(3);
});

test('of 5 first arrivals of one subject at once all are the same person', async () => {
  const sub = subject();
  const answers = await Promise.all(Array.from({ length: 5 }, () => arrive(sub)));
  for (const answer of answers) expect(answer.status, answer.text).toBe(200);
  expect(new Set(answers.map(({ data }) => (data as SignedIn).user.id)).size).toBe(1);
});

test('no password opens the account of a person who has none, as slowly as a wrong one', async () => {
  const { user } = await signedIn(subject());
  const took = async (email: string): Promise<number> => {
    const since = performance.now();
    for (const password of ['!', testPassword])
      expect(await call(api.url, 'auth.login', { input: { email, password } })).toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    return performance.now() - since;
  };
  const nobody = await took(`${unique('nobody')}@mail.test`);
  expect(await took(user.email)).toBeGreaterThan(nobody / 3);
});

test.each<[string, ProviderPerson]>([
  ['whose address is not verified', { email_verified: false }],
  ['without an address', { email: undefined as never, email_verified: true }],
  ['whose address is none', { email: 'nobody', email_verified: true }],
  ['of whose address nothing is said', { email_verified: undefined as never }],
  ['whose address is verified by a word', { email_verified: 'yes' as never }],
])('a new subject %s is refused and leaves nothing', async (_, changes) => {
  const sub = subject(changes);
  expect(await arrive(sub)).toMatchObject({ status: 403, code: 'FORBIDDEN' });
  const { rows } = await admin.query('select from oauth_accounts where subject = $1', [sub]);
  expect(rows).toEqual([]);
});

test('a new subject with the address of an account is sent to its password, in whatever letters, and is not linked', async () => {
  const victim = await newPerson(api);
  const answer = await arrive(subject({ email: victim.email.toUpperCase() }));
  expect(answer).toMatchObject({ status: 409, code: 'CONFLICT' });
  expect(answer.text).toContain('Sign in to it with your password');
  expect(await accounts(victim.authorization)).toEqual([]);
});

test('a signed-in person links a provider, is told by mail, and signs in with it from then on', async () => {
  const person = await newPerson(api);
  const sub = subject({ email: person.email, email_verified: false });
  const linked = await arrive(sub, provider, person.authorization);
  expect(linked.status, linked.text).toBe(200);
  expect(linked.data).toMatchObject({ user: { id: person.id, email: person.email, username: person.username } });
  expect(await trail(person.id)).toContain('create oauth_accounts');
  const { rows } = await admin.query(`select email from mails where user_id = $1 and kind = 'account-linked'`, [
    person.id,
  ]);
  expect(rows).toEqual([{ email: person.email }]);
  expect((await signedIn(sub)).user.id).toBe(person.id);
});

test('linking the same subject again signs in and adds nothing', async () => {
  const person = await newPerson(api);
  const sub = subject();
  await arrive(sub, provider, person.authorization);
  expect((await arrive(sub, provider, person.authorization)).status).toBe(200);
  expect(await accounts(person.authorization)).toHaveLength(1);
});

test('a subject that is linked to one person cannot be linked to another', async () => {
  const sub = subject();
  const owner = await signedIn(sub);
  const thief = await newPerson(api);
  expect(await arrive(sub, provider, thief.authorization)).toMatchObject({ status: 409, code: 'CONFLICT' });
  expect(await accounts(thief.authorization)).toEqual([]);
  expect((await signedIn(sub)).user.id).toBe(owner.user.id);
});

test('of two people who link one subject at once, one gets it', async () => {
  const sub = subject();
  const people = await Promise.all([newPerson(api), newPerson(api)]);
  const answers = await Promise.all(people.map(({ authorization }) => arrive(sub, provider, authorization)));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
});

test('linking that was begun in a session ends with the session', async () => {
  const person = await newPerson(api);
  const { authorizationUrl, flow } = await begin(provider, person.authorization);
  const callbackUrl = await provider.authorize(authorizationUrl, subject());
  await call(api.url, 'auth.logout', { input: {}, authorization: person.authorization });
  expect(await call(api.url, 'auth.oauthCallback', { input: { flow, callbackUrl } })).toMatchObject({
    code: 'UNAUTHENTICATED',
  });
  const { rows } = await admin.query('select from oauth_accounts where user_id = $1', [person.id]);
  expect(rows).toEqual([]);
});

const suspend = (id: string) => admin.query(`update users set status = 'suspended' where id = $1`, [id]);

test('a suspended person gets no session, by signing in or by linking', async () => {
  const sub = subject();
  const { user } = await signedIn(sub);
  const linker = await newPerson(api);
  const { authorizationUrl, flow } = await begin(provider, linker.authorization);
  const callbackUrl = await provider.authorize(authorizationUrl, subject());
  await suspend(user.id);
  await suspend(linker.id);
  const before = await admin.query('select from sessions');
  expect(await arrive(sub)).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  expect(await call(api.url, 'auth.oauthCallback', { input: { flow, callbackUrl } })).toMatchObject({
    code: 'UNAUTHENTICATED',
  });
  expect((await admin.query('select from sessions')).rowCount).toBe(before.rowCount);
});

test('a provider is unlinked, after which its subject is a stranger', async () => {
  const person = await newPerson(api);
  const sub = subject({ email: person.email });
  await arrive(sub, provider, person.authorization);
  const [account] = await accounts(person.authorization);
  expect((await unlink(person.authorization, account?.id ?? '')).data).toEqual({ ok: true });
  expect(await accounts(person.authorization)).toEqual([]);
  expect((await trail(person.id)).at(-1)).toBe('delete oauth_accounts');
  expect(await arrive(sub)).toMatchObject({ code: 'CONFLICT' });
  expect(await unlink(person.authorization, account?.id ?? '')).toMatchObject({ code: 'NOT_FOUND' });
});

test('the only way in stays: the last provider of a person without a password, also of two unlinked at once', async () => {
  const made = await signedIn(subject());
  const [only] = await accounts(as(made));
  const refused = await unlink(as(made), only?.id ?? '');
  expect(refused).toMatchObject({ status: 409, code: 'CONFLICT' });
  expect(refused.text).toContain('only way into your account');
  await arrive(subject({}, second), second, as(made));
  const both = await accounts(as(made));
  expect(both.map(({ provider: name }) => name)).toEqual(['first', 'second']);
  const answers = await Promise.all(both.map(({ id }) => unlink(as(made), id)));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
  expect(await accounts(as(made))).toHaveLength(1);
});

test("nobody sees or unlinks another person's account", async () => {
  const owner = await signedIn(subject());
  const [account] = await accounts(as(owner));
  const stranger: Person = await newPerson(api);
  expect(await accounts(stranger.authorization)).toEqual([]);
  expect(await unlink(stranger.authorization, account?.id ?? '')).toMatchObject({ code: 'NOT_FOUND' });
  expect(await accounts(as(owner))).toHaveLength(1);
});

test('no runtime role reads or writes the sign-ins under way, and what is kept of them tells no secret', async () => {
  const { authorizationUrl, flow } = await begin();
  const { rows } = await admin.query<{ row: string; expires: boolean }>(
    `select f::text || encode(secrets_ciphertext, 'escape') as row, expires_at between now() + interval '9 minutes' and now() + interval '11 minutes' as expires
       from oauth_flows f order by created_at desc limit 1`,
  );
  expect(rows[0]?.expires).toBe(true);
  const { searchParams } = new URL(authorizationUrl);
  for (const secret of [flow, searchParams.get('state') ?? '?', searchParams.get('nonce') ?? '?'])
    expect(rows[0]?.row).not.toContain(secret);
  for (const role of ['novax_api', 'novax_worker', 'novax_readonly'] as const) {
    await using runtime = await connect(api.database.url(role));
    for (const statement of [
      'select from oauth_flows',
      'delete from oauth_flows',
      'insert into oauth_flows default values',
    ])
      await expect(runtime.query(statement), `${role}: ${statement}`).rejects.toThrow(/permission denied|read-only/);
  }
});

test('sign-ins that nobody came back from are swept by later ones', async () => {
  await begin();
  await admin.query(`update oauth_flows set expires_at = now() - interval '1 second'`);
  await begin();
  expect((await admin.query('select from oauth_flows')).rowCount).toBe(1);
});
