/** What people change about themselves, take along, and have taken away for good. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMember, newPerson as signUp, type Person, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call, faces } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { makeDocument, makeOrganization, makeProject } from '../kit/factories.ts';
import { refreshedViews } from '../kit/views.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  // Behind one trusted proxy a test can say from where somebody calls.
  api = await startTestApi({ env: { TRUST_PROXY: 1 } });
  admin = await connect(api.database.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

/** Somebody who always calls from that address with that browser. */
function newPerson(from: { address: string; userAgent: string }, name = 'person'): Promise<Person> {
  return signUp(
    {
      url: api.url,
      fetch: (input, init) => {
        const headers = new Headers(init?.headers);
        headers.set('x-forwarded-for', from.address);
        headers.set('user-agent', from.userAgent);
        return fetch(input, { ...init, headers });
      },
    },
    name,
  );
}
const anybody = (): Promise<Person> => newPerson({ address: '192.0.2.77', userAgent: 'Plain/1.0' });

const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'OK',
    (thrown: unknown) => (thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)),
  );

const erase = ({ client }: Person, password: string | undefined = testPassword): Promise<string> =>
  code(client.users.erase.mutate({ password, confirm: 'erase me' }));

describe('users.updateProfile', () => {
  test.each(faces)('changes what is given and leaves the rest, by %s', async (face) => {
    const { id, authorization, username } = await anybody();
    const given = { profileMetadata: { locale: 'de', nested: { deep: [1, null, 'x'] } } };
    const first = await call(api.url, 'users.updateProfile', { face, authorization, input: given });
    expect(first.data).toEqual({ id, username, ...given });
    const renamed = unique('Re.Named');
    const second = await call(api.url, 'users.updateProfile', { face, authorization, input: { username: renamed } });
    expect(second.data).toEqual({ id, username: renamed, ...given });
  });

  test('a user name that somebody has, in any case, is refused by name', async () => {
    const [one, other] = await Promise.all([anybody(), anybody()]);
    const answer = await call(api.url, 'users.updateProfile', {
      authorization: one.authorization,
      input: { username: other.username.toUpperCase() },
    });
    expect(answer).toMatchObject({ status: 409, code: 'ALREADY_EXISTS' });
    expect(answer.text).toContain('"path":"username"');
  });

  test('a profile of 16 KiB is kept, one byte more is refused', async () => {
    const { client } = await anybody();
    const profile = (bytes: number): { about: string } => ({ about: 'ü'.repeat((bytes - 12) / 2) });
    expect(await code(client.users.updateProfile.mutate({ profileMetadata: profile(16 * 1024) }))).toBe('OK');
    const larger = { about: `${profile(16 * 1024).about}x` };
    expect(await code(client.users.updateProfile.mutate({ profileMetadata: larger }))).toBe('VALIDATION_FAILED');
  });
});

/** A life on the platform: one row at least in every section of the archive, each with a word that stands nowhere else. */
async function plant(person: Person, words: Readonly<Record<string, string>>): Promise<{ organizationId: string }> {
  const { client, id } = person;
  const { id: organizationId } = await makeOrganization(client);
  const { id: projectId } = await makeProject(client, { organizationId });
  const { id: documentId } = await makeDocument(client, { projectId, content: `About ${words['documents']}.` });
  await client.documents.update.mutate({ id: documentId, version: 1, content: 'Nothing.' });
  const second = await makeDocument(client, { projectId, content: `About ${words['documents']} again.` });
  await client.users.updateProfile.mutate({ profileMetadata: { motto: words['account'] ?? '' } });
  const at = [organizationId, id] as const;
  const add = async (text: string, values: readonly unknown[]): Promise<void> =>
    void (await admin.query(text, [...values]));
  await add(`insert into oauth_accounts (user_id, provider, subject, email) values ($1, 'test', $2, $3)`, [
    id,
    words['linkedAccounts'],
    person.email,
  ]);
  await add(
    `insert into totp_factors (user_id, secret_ciphertext, key_id, status, confirmed_at) values ($1, '\\x5ec4e7', $2, 'active', now())`,
    [id, words['secret']],
  );
  await add(`insert into recovery_codes (user_id, code_hash) values ($1, $2)`, [id, words['secret']]);
  await add(
    `insert into api_keys (org_id, creator_id, name, prefix, key_hash) values ($1, $2, $3, 'nvx', sha256(gen_random_uuid()::text::bytea))`,
    [...at, words['apiKeys']],
  );
  await add(
    `insert into tasks (org_id, creator_id, assignee_id, project_id, title, description) values ($1, $2, $2, $3, 'A task', $4)`,
    [...at, projectId, words['tasks']],
  );
  await add(`insert into comments (org_id, author_id, document_id, body) values ($1, $2, $3, $4)`, [
    ...at,
    second.id,
    words['comments'],
  ]);
  await add(
    `insert into attachments (org_id, uploader_id, document_id, file_name, media_type, size_bytes, storage_key) values ($1, $2, $3, $4, 'text/plain', 1, gen_random_uuid()::text)`,
    [...at, second.id, words['attachments']],
  );
  await add(`insert into notifications (org_id, user_id, kind, title) values ($1, $2, 'test', $3)`, [
    ...at,
    words['notifications'],
  ]);
  await add(`insert into notification_preferences (user_id, kind, channel) values ($1, $2, 'email')`, [
    id,
    words['notificationPreferences'],
  ]);
  await add(
    `insert into idempotency_keys (user_id, key, request_hash, procedure, status, response_status, response_body, expires_at)
     values ($1, gen_random_uuid()::text, sha256('x'), 'users.me', 'completed', 200, jsonb_build_object('email', $2::text), now() + interval '1 day')`,
    [id, person.email],
  );
  return { organizationId };
}

const sections = [
  'account',
  'linkedAccounts',
  'apiKeys',
  'documents',
  'tasks',
  'comments',
  'attachments',
  'notifications',
  'notificationPreferences',
] as const;
const newWords = (): Record<string, string> =>
  Object.fromEntries([...sections, 'secret'].map((name) => [name, unique(`word-${name.toLowerCase()}-`)]));

describe('users.exportData', () => {
  test('holds what was planted in every section, opened, without secrets, and nothing of anybody else', async () => {
    const from = { address: '198.51.100.23', userAgent: `Browser ${unique()}` };
    const [person, other] = await Promise.all([
      newPerson(from),
      newPerson({ address: '203.0.113.9', userAgent: unique('Other') }),
    ]);
    const [words, others] = [newWords(), newWords()];
    const { organizationId } = await plant(person, words);
    await plant(other, others);
    // In the same organization, and invited from it.
    await addMember(api, { organizationId, userId: other.id, role: 'admin' });
    const theirs = await other.client.projects.list.query({ organizationId });
    await makeDocument(other.client, { projectId: theirs.items[0]?.id ?? '', content: others['documents'] ?? '' });
    await admin.query(
      `insert into invitations (org_id, inviter_id, email, email_normalized, token_hash, expires_at)
       values ($1, $2, $3::text, lower($3::text), sha256(gen_random_uuid()::text::bytea), now() + interval '1 day')`,
      [organizationId, other.id, person.email],
    );

    const archive = await person.client.users.exportData.mutate({});
    expect(archive.format).toBe('novax-person-1');
    expect(archive.person).toMatchObject({
      id: person.id,
      email: person.email,
      username: person.username,
      hasPassword: true,
    });
    for (const name of sections) {
      const held: unknown = name === 'account' ? archive.person : archive.sections[name];
      expect(JSON.stringify(held), name).toContain(words[name]);
    }
    for (const [name, items] of Object.entries(archive.sections)) expect(items.length, name).toBeGreaterThan(0);
    expect(archive.sections['sessions']).toMatchObject([{ ipAddress: from.address, userAgent: from.userAgent }]);
    const trail = archive.sections['auditTrail'] ?? [];
    expect(trail).toContainEqual(
      expect.objectContaining({
        entityType: 'users',
        action: 'create',
        after: { username: person.username },
        address: from.address,
      }),
    );
    const text = JSON.stringify(archive);
    expect(text).not.toContain('$sealed');
    expect(text).not.toContain(words['secret']);
    for (const foreign of [...Object.values(others), other.email, other.username, other.id, '203.0.113.9'])
      expect(text, foreign).not.toContain(foreign);
    expect(text).not.toMatch(/5ec4e7|hash/i);

    const { rows } = await admin.query<{ n: number }>(
      `select count(*)::int as n from audit_log where actor_id = $1 and entity_id = $1 and action = 'access'`,
      [person.id],
    );
    expect(rows).toEqual([{ n: 1 }]);
  });

  test('of an organization that a person left it holds that they wrote, not what', async () => {
    const [owner, writer] = await Promise.all([anybody(), anybody()]);
    const { id: organizationId } = await makeOrganization(owner.client);
    await addMember(api, { organizationId, userId: writer.id, role: 'member' });
    const { id: projectId } = await makeProject(owner.client, { organizationId });
    const word = unique('word');
    const { id } = await makeDocument(writer.client, { projectId, title: 'Mine', content: word });
    await admin.query('delete from org_members where user_id = $1', [writer.id]);
    const { sections: held } = await writer.client.users.exportData.mutate({});
    expect(held['documents']).toMatchObject([{ id, title: 'Mine', content: null }]);
    expect(JSON.stringify(held)).not.toContain(word);
  });

  test('many rows come whole, over pages, each once', async () => {
    const person = await anybody();
    await admin.query(
      `insert into audit_log (actor_type, actor_id, action, entity_type, entity_id) select 'user', $1::uuid, 'access', 'documents', gen_random_uuid() from generate_series(1, 5000)`,
      [person.id],
    );
    await admin.query(
      `insert into sessions (user_id, sid_hash, idle_expires_at, absolute_expires_at)
       select $1::uuid, sha256(gen_random_uuid()::text::bytea), now(), now() from generate_series(1, 1000)`,
      [person.id],
    );
    const { sections: held } = await person.client.users.exportData.mutate({});
    expect(new Set(held['auditTrail']?.map(({ id }) => id)).size).toBeGreaterThanOrEqual(5000);
    expect(new Set(held['sessions']?.map(({ id }) => id)).size).toBe(1001);
    expect(held['sessions']).toHaveLength(1001);
  });
});

describe('users.erase', () => {
  test('takes the right password, and says only that it was wrong', async () => {
    const person = await anybody();
    expect(await erase(person, 'not the password')).toBe('FORBIDDEN');
    expect(await code(person.client.users.erase.mutate({ confirm: 'erase me' }))).toBe('FORBIDDEN');
    expect((await person.client.users.me.query({})).status).toBe('active');
    expect(await erase(person)).toBe('OK');
  });

  test('of an account without a password takes a session of the last ten minutes', async () => {
    const person = await anybody();
    await admin.query(`update users set password_hash = '!' where id = $1`, [person.id]);
    await admin.query(`update sessions set created_at = now() - interval '11 minutes' where user_id = $1`, [person.id]);
    expect(await erase(person, undefined)).toBe('FORBIDDEN');
    await admin.query(`update sessions set created_at = now() - interval '9 minutes' where user_id = $1`, [person.id]);
    expect(await erase(person, undefined)).toBe('OK');
  });

  test('waits until what one owns with others is handed over, and names it', async () => {
    const [owner, member] = await Promise.all([anybody(), anybody()]);
    const name = unique('Shared ');
    const { id: organizationId } = await makeOrganization(owner.client, { name });
    await addMember(api, { organizationId, userId: member.id, role: 'member' });
    const answer = await call(api.url, 'users.erase', {
      authorization: owner.authorization,
      input: { password: testPassword, confirm: 'erase me' },
    });
    expect(answer).toMatchObject({ status: 409, code: 'CONFLICT' });
    expect(answer.text).toContain(name);
    expect((await owner.client.users.me.query({})).organizations).toHaveLength(1);
    await owner.client.organizations.transferOwnership.mutate({ id: organizationId, toUserId: member.id });
    expect(await erase(owner)).toBe('OK');
    const people = await member.client.members.list.query({ organizationId });
    expect(people.items).toMatchObject([{ userId: member.id, role: 'owner' }]);
  });

  test('leaves no address, name, browser or network of the person in the clear, in no column of no table', async () => {
    const from = { address: '198.51.100.201', userAgent: `Browser ${unique()}` };
    const person = await newPerson(from, 'gone');
    const other = await anybody();
    const { organizationId: alone } = await plant(person, newWords());
    const { id: organizationId } = await makeOrganization(other.client);
    await addMember(api, { organizationId, userId: person.id, role: 'admin' });
    const { id: projectId } = await makeProject(other.client, { organizationId });
    const { id: documentId } = await makeDocument(person.client, { projectId, content: 'Stays.' });
    const { id: later } = await makeOrganization(other.client);
    await other.client.members.invite.mutate({ organizationId: later, email: person.email });
    await refreshedViews(admin);
    const clues = [person.email, person.username, from.userAgent, from.address];
    expect(await found(clues)).toEqual(
      expect.arrayContaining([
        'public.users.email',
        'public.users.username_normalized',
        'public.sessions.ip_address',
        'public.sessions.user_agent',
        'public.mails.email',
        'public.invitations.email',
        'public.oauth_accounts.email',
        'public.idempotency_keys.response_body',
        'private.mv_ai_document_context.author',
      ]),
    );

    expect(await erase(person)).toBe('OK');
    await refreshedViews(admin);
    expect(await found(clues)).toEqual([]);

    // What they wrote stays, by somebody without a name; what was theirs alone is gone with them.
    const kept = await other.client.documents.get.query({ id: documentId });
    expect(kept).toMatchObject({ content: 'Stays.' });
    const { rows } = await admin.query(
      'select status, (select status from organizations where id = $2) as alone from users where id = $1',
      [person.id, alone],
    );
    expect(rows).toEqual([{ status: 'deleted', alone: 'deleted' }]);
    const { rows: events } = await admin.query<{ event_type: string }>(
      `select event_type from events where actor_id = $1 order by event_id`,
      [person.id],
    );
    expect(events.map(({ event_type: type }) => type)).toEqual(
      expect.arrayContaining(['user.erased', 'organization.deleted']),
    );
    expect(
      (await admin.query('select from erasures where user_id = $1 and recorded_at is null', [person.id])).rowCount,
    ).toBe(1);
  });

  test('ends every session at once, and the address and the name can be taken again', async () => {
    const person = await anybody();
    await call(api.url, 'auth.login', { input: { email: person.email, password: testPassword } });
    expect(await erase(person)).toBe('OK');
    const me = await call(api.url, 'users.me', { input: {}, authorization: person.authorization });
    expect(me.code).toBe('UNAUTHENTICATED');
    const login = await call(api.url, 'auth.login', { input: { email: person.email, password: testPassword } });
    expect(login.code).toBe('UNAUTHENTICATED');
    const again = await call(api.url, 'auth.register', {
      input: { email: person.email, username: person.username, password: testPassword },
    });
    expect(again.code, again.text).toBeUndefined();
    expect(again.data).not.toMatchObject({ user: { id: person.id } });
  });

  test('seals nothing more under a destroyed key, also for somebody who had none', async () => {
    const person = await anybody();
    await admin.query('delete from person_keys where user_id = $1', [person.id]);
    expect(await erase(person)).toBe('OK');
    const { rows } = await admin.query(
      'select wrapped_key, destroyed_at is not null as destroyed from person_keys where user_id = $1',
      [person.id],
    );
    expect(rows).toEqual([{ wrapped_key: null, destroyed: true }]);
  });

  test('is named in the store outside the database by the workers, once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'novax-erasures-'));
    try {
      const person = await anybody();
      expect(await erase(person)).toBe('OK');
      await using _workers = await api.startWorkers({ STORAGE_DIR: folder, WORKER_ROLES: ['jobs'] });
      const text = await readFile(join(folder, 'erasures', `${person.id}.json`), 'utf8');
      expect(JSON.parse(text)).toEqual({ userId: person.id, erasedAt: expect.stringMatching(/^\d{4}-.*Z$/) });
      expect((await admin.query('select from erasures where recorded_at is null')).rowCount).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('nobody erases or exports anybody but themself, whatever they tell the database', async () => {
    const [person, other] = await Promise.all([anybody(), anybody()]);
    await using db = await connect(api.database.url('novax_api'));
    await db.query(`select set_config('app.current_user_id', $1, false)`, [other.id]);
    await expect(db.query('select * from private.erase_person($1)', [person.id])).rejects.toThrow(
      'not the current user',
    );
    await expect(db.query('select private.replay_erasure($1)', [person.id])).rejects.toThrow('permission denied');
    await db.query(`select set_config('app.current_user_id', $1, false)`, [randomUUID()]);
    await expect(db.query(`select * from private.export_person('account', '', 1)`)).rejects.toThrow('no active user');
    await db.query(`select set_config('app.current_user_id', '', false)`);
    await expect(db.query(`select * from private.export_person('account', '', 1)`)).rejects.toThrow('no active user');
  });
});

/** Where any of the clues stands in the clear: every column that holds text, JSON, bytes or an address, of every table and materialized view. */
async function found(clues: readonly string[]): Promise<string[]> {
  const { rows } = await admin.query<{ relation: string; column: string }>(
    `select format('%I.%I', n.nspname, c.relname) as relation, 
              case a.atttypid when 'bytea'::regtype then format('encode(%I, ''escape'')', a.attname) else quote_ident(a.attname) end as column
       from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'm') and not c.relispartition and n.nspname in ('public', 'app', 'private', 'ai') and a.attnum > 0
        and not a.attisdropped
        and a.atttypid::regtype::text in ('text', 'character varying', 'jsonb', 'json', 'inet', 'cidr', 'character varying[]', 'text[]', 'tsvector', 'bytea')`,
  );
  expect(rows.length).toBeGreaterThan(150);
  const places: string[] = [];
  for (const { relation, column } of rows) {
    const { rowCount } = await admin.query(
      `select from ${relation} where exists (select from unnest($1::text[]) as c (clue) where position(lower(c.clue) in lower(${column}::text)) > 0) limit 1`,
      [[...clues]],
    );
    if (rowCount !== 0) places.push(`${relation}.${column}`);
  }
  return places;
}
