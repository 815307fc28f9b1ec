/** How people come into an organization, change what they may do there, and go. */
import { createHash, randomBytes } from 'node:crypto';
import type { Role } from '@novax/contracts/permissions';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addMember, newPerson, type Person, unique } from '../../kit/actors.ts';
import { startTestApi, type TestApi } from '../../kit/api.ts';
import { type Answer, call, faces } from '../../kit/call.ts';
import { connect } from '../../kit/database.ts';
import { makeOrganization } from '../../kit/factories.ts';
import { expectError } from '../../kit/guarantees.ts';

let api: TestApi;
let admin: Awaited<ReturnType<typeof connect>>;
/** Some people, each of whom owns and joins many organizations below. */
let people: readonly [Person, Person, Person, Person];
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  people = await Promise.all([
    newPerson(api, 'ada'),
    newPerson(api, 'bob'),
    newPerson(api, 'cyd'),
    newPerson(api, 'dan'),
  ]);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

const ask = (path: string, person: Person, input: Record<string, unknown>): Promise<Answer> =>
  call(api.url, path, { input, authorization: person.authorization });

/** An organization of the first person with others in it. */
async function organizationWith(members: readonly (readonly [Person, Role])[] = []): Promise<string> {
  const { id } = await makeOrganization(people[0].client);
  for (const [{ id: userId }, role] of members) await addMember(api, { organizationId: id, userId, role });
  return id;
}

async function rolesIn(organizationId: string): Promise<Record<string, string>> {
  const { rows } = await admin.query<{ user_id: string; role: string }>(
    'select user_id, role from org_members where org_id = $1',
    [organizationId],
  );
  return Object.fromEntries(rows.map(({ user_id: id, role }) => [id, role]));
}

/** Exactly one owner, who is the one the organization names. */
async function expectOneOwner(organizationId: string): Promise<void> {
  const { rows } = await admin.query(
    `select o.owner_id, array(select m.user_id::text from org_members m where m.org_id = o.id and m.role = 'owner') as owners
       from organizations o where o.id = $1`,
    [organizationId],
  );
  expect(rows[0].owners).toEqual([rows[0].owner_id]);
}

/** What the mail worker does when it sends: the token whose hash stands in the row from then on. */
async function mailedToken(invitationId: string): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  await admin.query('update invitations set token_hash = $2 where id = $1', [
    invitationId,
    createHash('sha256').update(token).digest(),
  ]);
  return token;
}

async function invited(
  organizationId: string,
  { email, role = 'member' }: { email: string; role?: string },
): Promise<{ id: string; token: string }> {
  const answer = await ask('members.invite', people[0], { organizationId, email, role });
  expect(answer.status, answer.text).toBe(200);
  // The contract's own output, checked by the API before it was sent.
  const { id } = answer.data as { id: string };
  return { id, token: await mailedToken(id) };
}

async function eventsOf(organizationId: string): Promise<string[]> {
  const { rows } = await admin.query<{ event: string }>(
    `select event_type || ' ' || aggregate_version as event from events
      where org_id = $1 and event_type ~ '^(member|invitation)[.]' order by id`,
    [organizationId],
  );
  return rows.map(({ event }) => event);
}

async function trailOf(organizationId: string): Promise<{ what: string; before: unknown; after: unknown }[]> {
  const { rows } = await admin.query<{ what: string; before: unknown; after: unknown }>(
    `select action || ' ' || entity_type as what, old_value as before, new_value as after from audit_log
      where org_id = $1 and entity_type in ('org_members', 'invitations', 'api_keys') order by id`,
    [organizationId],
  );
  return rows;
}

test.each(faces)('an invitation is made, listed and withdrawn by %s, with 201 on the REST face', async (face) => {
  const organizationId = await organizationWith();
  const { authorization } = people[0];
  const email = `${unique('Guest')}@Example.Test`;
  const made = await call(api.url, 'members.invite', {
    face,
    input: { organizationId, email, role: 'viewer' },
    authorization,
  });
  expect(made.status, made.text).toBe(face === 'rest' ? 201 : 200);
  expect(made.data).toMatchObject({ email, role: 'viewer', status: 'pending' });
  const listed = await call(api.url, 'members.listInvitations', { face, input: { organizationId }, authorization });
  expect(listed.data, listed.text).toEqual({ items: [made.data], nextCursor: null });
  // The contract's own output, checked by the API before it was sent.
  const { id } = made.data as { id: string };
  for (const time of ['first', 'second']) {
    const revoked = await call(api.url, 'members.revokeInvitation', { face, input: { id }, authorization });
    expect(revoked.data, `${time}: ${revoked.text}`).toEqual({ ok: true });
  }
  expect(await eventsOf(organizationId)).toEqual(['invitation.created 1', 'invitation.revoked 2']);
  expect(await trailOf(organizationId)).toMatchObject([
    { what: 'create invitations', before: null, after: { domain: 'example.test', role: 'viewer' } },
    { what: 'update invitations', before: { status: 'pending' }, after: { status: 'revoked' } },
  ]);
});

test('an invitation owes one mail, names no person in trail and events, and stores no token that anybody knows', async () => {
  const organizationId = await organizationWith();
  const email = `${unique('Secret')}@example.test`;
  const answer = await ask('members.invite', people[0], { organizationId, email });
  expect(answer.data, answer.text).toMatchObject({ role: 'member', status: 'pending' });
  // The contract's own output, checked by the API before it was sent.
  const { id, expiresAt, createdAt } = answer.data as { id: string; expiresAt: string; createdAt: string };
  expect(Math.abs(Date.parse(expiresAt) - Date.parse(createdAt) - 7 * 24 * 60 * 60 * 1000)).toBeLessThan(60_000);
  const mails = await admin.query('select kind, email from mails where invitation_id = $1', [id]);
  expect(mails.rows).toEqual([{ kind: 'invitation', email }]);
  const { rows } = await admin.query<{ text: string }>(
    `select a::text as text from audit_log a where org_id = $1 union all select e::text from events e where org_id = $1`,
    [organizationId],
  );
  for (const { text } of rows) expect(text.toLowerCase()).not.toContain(email.toLowerCase().split('@')[0]);
  expect(answer.text).not.toMatch(/token|hash/i);
});

test('inviting an address again replaces what was pending, whatever the case it is written in', async () => {
  const organizationId = await organizationWith();
  const email = `${unique('again')}@example.test`;
  const first = await invited(organizationId, { email });
  const second = await invited(organizationId, { email: email.toUpperCase(), role: 'admin' });
  const { items } = await people[0].client.members.listInvitations.query({ organizationId });
  expect(items.map(({ id, status }) => [id, status])).toEqual([
    [second.id, 'pending'],
    [first.id, 'revoked'],
  ]);
  expectError(await ask('members.acceptInvitation', people[1], { token: first.token }), 'NOT_FOUND', 'trpc');
  expect(await eventsOf(organizationId)).toEqual([
    'invitation.created 1',
    'invitation.revoked 2',
    'invitation.created 1',
  ]);
});

test('the same address invited by many at once is pending once', async () => {
  const organizationId = await organizationWith([[people[1], 'admin']]);
  const email = `${unique('crowd')}@example.test`;
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) => ask('members.invite', people[n % 2 === 0 ? 0 : 1], { organizationId, email })),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
  const { items } = await people[0].client.members.listInvitations.query({ organizationId });
  expect(items.filter(({ status }) => status === 'pending')).toHaveLength(1);
  expect(items).toHaveLength(8);
});

test('an address gets the same answer whether it is a member’s, somebody’s or nobody’s', async () => {
  const organizationId = await organizationWith([[people[1], 'member']]);
  const shapes = [];
  for (const email of [people[1].email, people[2].email, `${unique('nobody')}@example.test`]) {
    const answer = await ask('members.invite', people[0], { organizationId, email });
    expect(answer.status, answer.text).toBe(200);
    // The contract's own output, checked by the API before it was sent.
    const view = answer.data as Record<string, unknown>;
    shapes.push({ ...view, id: 0, email: 0, expiresAt: 0, createdAt: 0 });
  }
  expect(new Set(shapes.map((shape) => JSON.stringify(shape))).size).toBe(1);
});

test('an address outside the organization’s domains is refused by name of the field, and lets nobody in later', async () => {
  const organizationId = await organizationWith();
  const { token } = await invited(organizationId, { email: people[1].email });
  await people[0].client.organizations.update.mutate({ id: organizationId, allowedDomains: ['corp.example'] });
  const refused = await ask('members.invite', people[0], { organizationId, email: `x@sub.corp.example` });
  expectError(refused, 'VALIDATION_FAILED', 'trpc');
  expect(refused.text).toContain('"path":"email"');
  expectError(await ask('members.acceptInvitation', people[1], { token }), 'NOT_FOUND', 'trpc');
  const admitted = await ask('members.invite', people[0], { organizationId, email: `X@Corp.Example` });
  expect(admitted.status, admitted.text).toBe(200);
});

test('pages of invitations hold each one once, and an overdue one reads expired', async () => {
  const organizationId = await organizationWith();
  const made = [];
  for (let n = 0; n < 5; n++) made.push(await invited(organizationId, { email: `${unique('page')}@example.test` }));
  await admin.query(`update invitations set expires_at = now() - interval '1 second' where id = $1`, [made[0]?.id]);
  const seen: { id: string; status: string }[] = [];
  let cursor: string | null = null;
  do {
    const answer = await ask('members.listInvitations', people[0], {
      organizationId,
      limit: 2,
      ...(cursor === null ? {} : { cursor }),
    });
    // The contract's own output, checked by the API before it was sent.
    const page = answer.data as { items: { id: string; status: string }[]; nextCursor: string | null };
    seen.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(seen.map(({ id }) => id)).toEqual(made.map(({ id }) => id).toReversed());
  expect(seen.map(({ status }) => status)).toEqual(['pending', 'pending', 'pending', 'pending', 'expired']);
});

test.each(faces)(
  'accepting makes a member and proves the address by %s; accepting twice says the same',
  async (face) => {
    const organizationId = await organizationWith();
    const guest = await newPerson(api, 'guest');
    const { token } = await invited(organizationId, { email: guest.email.toUpperCase(), role: 'admin' });
    for (const time of ['first', 'second']) {
      const answer = await call(api.url, 'members.acceptInvitation', {
        face,
        input: { token },
        authorization: guest.authorization,
      });
      expect(answer.data, `${time}: ${answer.text}`).toEqual({ organizationId, role: 'admin' });
    }
    expect(await rolesIn(organizationId)).toMatchObject({ [guest.id]: 'admin' });
    expect((await guest.client.users.me.query({})).emailVerified).toBe(true);
    expect(await eventsOf(organizationId)).toEqual(['invitation.created 1', 'member.joined 1']);
    expect((await trailOf(organizationId)).map(({ what }) => what)).toEqual([
      'create invitations',
      'create org_members',
      'update invitations',
    ]);
  },
);

test('one token taken from both hands at once joins once', async () => {
  const organizationId = await organizationWith();
  const guest = people[3];
  const { token } = await invited(organizationId, { email: guest.email });
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask('members.acceptInvitation', guest, { token })));
  for (const answer of answers) expect(answer.data, answer.text).toEqual({ organizationId, role: 'member' });
  expect((await eventsOf(organizationId)).filter((event) => event.startsWith('member.'))).toEqual(['member.joined 1']);
});

test('tokens that are unknown, withdrawn, replaced, overdue, used up or another’s cannot be told apart', async () => {
  const organizationId = await organizationWith();
  const suspended = await organizationWith();
  const guest = await newPerson(api, 'guest');
  const { email } = guest;
  const withdrawn = await invited(organizationId, { email });
  await people[0].client.members.revokeInvitation.mutate({ id: withdrawn.id });
  const overdue = await invited(organizationId, { email });
  await admin.query(`update invitations set expires_at = now() where id = $1`, [overdue.id]);
  const used = await invited(organizationId, { email });
  await ask('members.acceptInvitation', guest, { token: used.token });
  await people[0].client.members.remove.mutate({ organizationId, userId: guest.id });
  const another = await invited(organizationId, { email: people[1].email });
  const closed = await invited(suspended, { email });
  await admin.query(`update organizations set status = 'suspended' where id = $1`, [suspended]);
  const texts = new Set<string>();
  for (const token of [randomBytes(32).toString('base64url'), withdrawn, overdue, used, another, closed].map((it) =>
    typeof it === 'string' ? it : it.token,
  )) {
    const answer = await call(api.url, 'members.acceptInvitation', {
      input: { token },
      authorization: guest.authorization,
      requestId: 'the-same',
    });
    expectError(answer, 'NOT_FOUND', 'trpc');
    texts.add(answer.text);
  }
  expect(texts.size).toBe(1);
  expect(await rolesIn(organizationId)).not.toHaveProperty(guest.id);
});

test('a member who accepts keeps the stronger role of the two', async () => {
  const [, bob, cyd] = people;
  const organizationId = await organizationWith([
    [bob, 'viewer'],
    [cyd, 'admin'],
  ]);
  const up = await invited(organizationId, { email: bob.email, role: 'admin' });
  const down = await invited(organizationId, { email: cyd.email, role: 'viewer' });
  expect((await ask('members.acceptInvitation', bob, { token: up.token })).data).toEqual({
    organizationId,
    role: 'admin',
  });
  expect((await ask('members.acceptInvitation', cyd, { token: down.token })).data).toEqual({
    organizationId,
    role: 'admin',
  });
  expect((await eventsOf(organizationId)).filter((event) => event.startsWith('member.'))).toEqual(['member.updated 2']);
});

test('an admin’s later word outlasts an older invitation: a new role withdraws what is pending', async () => {
  const [, bob] = people;
  const organizationId = await organizationWith([[bob, 'member']]);
  const { token } = await invited(organizationId, { email: bob.email, role: 'admin' });
  await people[0].client.members.updateRole.mutate({ organizationId, userId: bob.id, role: 'viewer' });
  expectError(await ask('members.acceptInvitation', bob, { token }), 'NOT_FOUND', 'trpc');
  expect(await rolesIn(organizationId)).toMatchObject({ [bob.id]: 'viewer' });
});

test('whoever accepts an invitation while they are removed is out afterwards, whichever came first', async () => {
  const [owner, bob] = people;
  for (let round = 0; round < 8; round++) {
    const organizationId = await organizationWith([[bob, 'member']]);
    const { token } = await invited(organizationId, { email: bob.email, role: 'admin' });
    const [removed, accepted] = await Promise.all([
      ask('members.remove', owner, { organizationId, userId: bob.id }),
      ask('members.acceptInvitation', bob, { token }),
    ]);
    expect(removed.data, removed.text).toEqual({ ok: true });
    expect([undefined, 'NOT_FOUND']).toContain(accepted.code);
    expect(await rolesIn(organizationId)).toEqual({ [owner.id]: 'owner' });
  }
});

test('an invitation that was accepted cannot be withdrawn, and says what to do instead', async () => {
  const organizationId = await organizationWith();
  const { id, token } = await invited(organizationId, { email: people[1].email });
  await ask('members.acceptInvitation', people[1], { token });
  const answer = await ask('members.revokeInvitation', people[0], { id });
  expectError(answer, 'CONFLICT', 'trpc');
  expect(answer.text).toContain('remove the member');
});

test.each(faces)('an admin changes a role by %s, once in the trail however often it is asked for', async (face) => {
  const [, bob, cyd] = people;
  const organizationId = await organizationWith([
    [bob, 'admin'],
    [cyd, 'viewer'],
  ]);
  const { authorization } = bob;
  for (let time = 0; time < 2; time++) {
    const answer = await call(api.url, 'members.updateRole', {
      face,
      input: { organizationId, userId: cyd.id, role: 'member' },
      authorization,
    });
    expect(answer.data, answer.text).toMatchObject({ userId: cyd.id, username: cyd.username, role: 'member' });
  }
  expect(await rolesIn(organizationId)).toMatchObject({ [cyd.id]: 'member' });
  expect(await eventsOf(organizationId)).toEqual(['member.updated 2']);
  expect(await trailOf(organizationId)).toEqual([
    { what: 'update org_members', before: { role: 'viewer' }, after: { role: 'member' } },
  ]);
});

test('nobody changes their own role or the owner’s, and a stranger has none to change', async () => {
  const [owner, bob, cyd] = people;
  const organizationId = await organizationWith([[bob, 'admin']]);
  const change = (by: Person, userId: string) =>
    ask('members.updateRole', by, { organizationId, userId, role: 'viewer' });
  expectError(await change(bob, bob.id), 'CONFLICT', 'trpc');
  expectError(await change(owner, owner.id), 'CONFLICT', 'trpc');
  const owners = await change(bob, owner.id);
  expectError(owners, 'CONFLICT', 'trpc');
  expect(owners.text).toContain('hand the organization over');
  expectError(await change(bob, cyd.id), 'NOT_FOUND', 'trpc');
  expect(await trailOf(organizationId)).toEqual([]);
});

test.each(faces)(
  'removal by %s is effective at the next call and takes keys and open invitations along',
  async (face) => {
    const [owner, bob] = people;
    const organizationId = await organizationWith([[bob, 'admin']]);
    await invited(organizationId, { email: bob.email, role: 'admin' });
    const keys = `insert into api_keys (org_id, creator_id, name, prefix, key_hash)
                values ($1, $2, 'Key', 'nvx', sha256(gen_random_uuid()::text::bytea))`;
    await admin.query(keys, [organizationId, bob.id]);
    await admin.query(keys, [organizationId, owner.id]);
    expect((await ask('organizations.get', bob, { id: organizationId })).status).toBe(200);
    const answer = await call(api.url, 'members.remove', {
      face,
      input: { organizationId, userId: bob.id },
      authorization: owner.authorization,
    });
    expect(answer.data, answer.text).toEqual({ ok: true });
    expectError(await ask('organizations.get', bob, { id: organizationId }), 'NOT_FOUND', 'trpc');
    expectError(await ask('projects.create', bob, { organizationId, name: 'Late' }), 'NOT_FOUND', 'trpc');
    const { rows } = await admin.query(
      `select status, revoked_at is not null as ended from api_keys where org_id = $1 order by creator_id = $2 desc`,
      [organizationId, bob.id],
    );
    expect(rows).toEqual([
      { status: 'revoked', ended: true },
      { status: 'active', ended: false },
    ]);
    const { items } = await owner.client.members.listInvitations.query({ organizationId });
    expect(items.map(({ status }) => status)).toEqual(['revoked']);
    expect(await eventsOf(organizationId)).toEqual([
      'invitation.created 1',
      'invitation.revoked 2',
      'member.removed 2',
    ]);
    expect((await trailOf(organizationId)).slice(1)).toEqual([
      { what: 'update invitations', before: { status: 'pending' }, after: { status: 'revoked' } },
      {
        what: 'delete api_keys',
        before: { name: 'Key', prefix: 'nvx', status: 'active' },
        after: { status: 'revoked' },
      },
      { what: 'delete org_members', before: { userId: bob.id, role: 'admin' }, after: null },
    ]);
    const again = await ask('members.remove', owner, { organizationId, userId: bob.id });
    expectError(again, 'NOT_FOUND', 'trpc');
  },
);

test.each(faces)('every role but the owner leaves by %s, and their keys end', async (face) => {
  const [owner, bob, cyd, dan] = people;
  const organizationId = await organizationWith([
    [bob, 'admin'],
    [cyd, 'member'],
    [dan, 'viewer'],
  ]);
  // Made when they were more than a viewer.
  await admin.query(
    `insert into api_keys (org_id, creator_id, name, prefix, key_hash)
     values ($1, $2, 'Key', 'nvx', sha256(gen_random_uuid()::text::bytea))`,
    [organizationId, dan.id],
  );
  for (const { authorization } of [bob, cyd, dan]) {
    const answer = await call(api.url, 'members.leave', { face, input: { organizationId }, authorization });
    expect(answer.data, answer.text).toEqual({ ok: true });
  }
  const stays = await call(api.url, 'members.leave', {
    face,
    input: { organizationId },
    authorization: owner.authorization,
  });
  expectError(stays, 'CONFLICT', face);
  expect(stays.text).toContain('hand the organization over');
  expectError(await ask('members.remove', owner, { organizationId, userId: owner.id }), 'CONFLICT', 'trpc');
  expect(await rolesIn(organizationId)).toEqual({ [owner.id]: 'owner' });
  expect(await eventsOf(organizationId)).toEqual(['member.removed 2', 'member.removed 2', 'member.removed 2']);
  const { rows } = await admin.query('select status from api_keys where org_id = $1', [organizationId]);
  expect(rows).toEqual([{ status: 'revoked' }]);
});

test('an owner who handed over is an admin like any other: events in order, and free to leave', async () => {
  const [owner, bob] = people;
  const organizationId = await organizationWith([[bob, 'member']]);
  await owner.client.organizations.transferOwnership.mutate({ id: organizationId, toUserId: bob.id });
  expect(await eventsOf(organizationId)).toEqual(['member.updated 2', 'member.updated 2']);
  expect((await ask('members.leave', owner, { organizationId })).data).toEqual({ ok: true });
  expect(await rolesIn(organizationId)).toEqual({ [bob.id]: 'owner' });
  await expectOneOwner(organizationId);
});

test('of two admins who demote or remove each other at once, one stays admin', async () => {
  const [, bob, cyd] = people;
  for (let round = 0; round < 12; round++) {
    const organizationId = await organizationWith([
      [bob, 'admin'],
      [cyd, 'admin'],
    ]);
    const against = (by: Person, { id: userId }: Person) =>
      round % 2 === 0
        ? ask('members.updateRole', by, { organizationId, userId, role: 'viewer' })
        : ask('members.remove', by, { organizationId, userId });
    const answers = await Promise.all([against(bob, cyd), against(cyd, bob)]);
    const codes = answers.map(({ code }) => code ?? 'OK').toSorted();
    expect(codes, JSON.stringify(codes)).toEqual(round % 2 === 0 ? ['FORBIDDEN', 'OK'] : ['NOT_FOUND', 'OK']);
    const left = Object.values(await rolesIn(organizationId)).filter((role) => role === 'admin');
    expect(left).toEqual(['admin']);
    await expectOneOwner(organizationId);
  }
});

test('no organization loses its owner to somebody who leaves, is removed or demoted while it is handed to them', async () => {
  const [owner, bob, cyd] = people;
  const met = new Set<string>();
  for (let round = 0; round < 24; round++) {
    const organizationId = await organizationWith([
      [bob, 'admin'],
      [cyd, 'admin'],
    ]);
    const transfer = () => ask('organizations.transferOwnership', owner, { id: organizationId, toUserId: bob.id });
    const rivals = [
      () => ask('members.leave', bob, { organizationId }),
      () => ask('members.remove', cyd, { organizationId, userId: bob.id }),
      () => ask('members.updateRole', cyd, { organizationId, userId: bob.id, role: 'viewer' }),
      () => ask('organizations.transferOwnership', owner, { id: organizationId, toUserId: cyd.id }),
    ];
    const rival = rivals[round % rivals.length] ?? transfer;
    // Whichever is sent first is the likelier to be first.
    const sent = round % 8 < 4 ? [transfer(), rival()] : [rival(), transfer()].toReversed();
    const [moved, other] = await Promise.all(sent);
    for (const answer of [moved, other]) expect(answer?.status, answer?.text).toBeLessThan(500);
    met.add(`${round % 4}: ${moved?.code ?? 'OK'} ${other?.code ?? 'OK'}`);
    await expectOneOwner(organizationId);
    // Gone and owner at once is nobody: one of the two was refused.
    if (round % 4 < 2) expect([moved?.code, other?.code]).not.toEqual([undefined, undefined]);
  }
  expect(met.size).toBeGreaterThan(3);
});

test('the database itself keeps the owner: a statement that takes them away does not commit', async () => {
  const organizationId = await organizationWith();
  await expect(admin.query('delete from org_members where org_id = $1', [organizationId])).rejects.toMatchObject({
    constraint: 'ck_organizations_owner_is_member',
  });
});

test('a suspended organization can be read and left, and nothing else', async () => {
  const [owner, bob] = people;
  const organizationId = await organizationWith([[bob, 'member']]);
  const project = await bob.client.projects.create.mutate({ organizationId, name: 'Before' });
  await admin.query(`update organizations set status = 'suspended' where id = $1`, [organizationId]);
  expect((await ask('organizations.get', bob, { id: organizationId })).data).toMatchObject({ status: 'suspended' });
  expect((await ask('projects.get', bob, { id: project.id })).status).toBe(200);
  expect((await ask('members.listInvitations', owner, { organizationId })).status).toBe(200);
  for (const [path, input] of [
    ['organizations.update', { id: organizationId, name: 'No' }],
    ['organizations.delete', { id: organizationId }],
    ['members.invite', { organizationId, email: 'guest@example.test' }],
    ['projects.create', { organizationId, name: 'No' }],
    ['projects.update', { id: project.id, name: 'No' }],
    ['documents.create', { projectId: project.id, title: 'No', content: '' }],
  ] as const) {
    const answer = await ask(path, owner, input);
    expectError(answer, 'FORBIDDEN', 'trpc');
    expect(answer.text).toContain('suspended');
  }
  expect((await ask('members.leave', bob, { organizationId })).data).toEqual({ ok: true });
  await admin.query(`update organizations set status = 'active' where id = $1`, [organizationId]);
  expect((await ask('projects.update', owner, { id: project.id, name: 'Yes' })).status).toBe(200);
});

test('a suspended person keeps their membership and cannot act', async () => {
  const guest = await newPerson(api, 'guest');
  const organizationId = await organizationWith([[guest, 'admin']]);
  await admin.query(`update users set status = 'suspended' where id = $1`, [guest.id]);
  expectError(await ask('organizations.get', guest, { id: organizationId }), 'UNAUTHENTICATED', 'trpc');
  const { items } = await people[0].client.members.list.query({ organizationId });
  expect(items).toContainEqual(expect.objectContaining({ userId: guest.id, role: 'admin' }));
  // Whose membership it is, is still the admins' to decide.
  expect((await ask('members.remove', people[0], { organizationId, userId: guest.id })).data).toEqual({ ok: true });
});
