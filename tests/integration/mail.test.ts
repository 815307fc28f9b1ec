/** From the transaction that asks for a mail to the mail: never without a commit, at least once, under one id, and given up in the end. */
import { openDatabase } from '@novax/db/tx';
import { claimMails, issueMailSecret } from '@novax/db/queries/mails';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { layout } from '../../apps/workers/src/mail/layout.ts';
import { smtpSink } from '../conformance/smtp-sink.ts';
import { newPerson, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { startProcess } from '../kit/faults/processes.ts';
import { slow } from '../kit/flow.ts';
import { appUrl, received, startMailbox, type Mailbox } from '../kit/mailbox.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
let mailbox: Mailbox;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
  mailbox = await startMailbox(api);
});
afterAll(async () => {
  await mailbox[Symbol.asyncDispose]();
  await admin.end();
  await api[Symbol.asyncDispose]();
});

interface MailRow {
  readonly id: string;
  readonly kind: string;
  readonly status: string;
  readonly attempts: number;
  readonly last_error: string | null;
}
async function rowsOf(email: string): Promise<MailRow[]> {
  const { rows } = await admin.query(
    'select id, kind, status, attempts, last_error from mails where email_normalized = $1 order by created_at, id',
    [email.toLowerCase()],
  );
  return rows;
}
const settled = (email: string, status: string): Promise<MailRow[]> =>
  eventually(async () => {
    const rows = await rowsOf(email);
    expect(rows.map((row) => row.status)).toEqual(rows.map(() => status));
    expect(rows.length).toBeGreaterThan(0);
    return rows;
  }, slow);

test('a registration mails one link to confirm the address, and the database holds its secret as a hash alone', async () => {
  const { email, username } = await newPerson(api);
  const mail = await mailbox.mail(email, '/verify-email');
  const [row] = await settled(email, 'sent');
  expect(mail).toMatchObject({
    subject: 'Confirm your e-mail address',
    messageId: expect.stringContaining(`<${row?.id}@`),
  });
  expect(mail.text).toContain(username);
  expect(mail.html).toContain(`${appUrl}/verify-email?token=${mail.token}`);
  expect(mail.token).toMatch(/^[\w-]{43}$/);
  const { rows } = await admin.query(
    `select token_hash = sha256($1::bytea) as hashed, to_jsonb(t)::text like '%' || $2 || '%' as plain
       from one_time_tokens t where mail_id = $3`,
    [Buffer.from(mail.token ?? ''), mail.token, row?.id],
  );
  expect(rows).toEqual([{ hashed: true, plain: false }]);
});

test('a registration that was rolled back mails nothing', async () => {
  const taken = await newPerson(api);
  const email = `${unique('ghost')}@example.test`;
  const refused = await call(api.url, 'auth.register', {
    input: { email, username: taken.username, password: testPassword },
  });
  expect(refused.code).toBe('ALREADY_EXISTS');
  // A mail asked for later has come by now, so an earlier one would have too.
  const later = await newPerson(api);
  await mailbox.mail(later.email, '/verify-email');
  expect(await rowsOf(email)).toEqual([]);
  expect(await mailbox.mailsTo(email)).toEqual([]);
});

test(
  'a worker killed between sending and recording sends the mail again under the same id, and both links work',
  { timeout: 60_000 },
  async () => {
    await using _ = { [Symbol.asyncDispose]: () => mailbox.start() };
    await mailbox.stop();
    await using sink = await smtpSink();
    // Takes the mail and never says so: the worker cannot have recorded anything.
    sink.keepWaiting(1);
    const { email } = await newPerson(api);
    const settings = {
      SMTP_URL: `smtp://127.0.0.1:${sink.port}`,
      MAIL_FROM: 'NovaX <novax@example.test>',
      APP_URL: appUrl,
    };
    await using victim = await startProcess({
      script: 'apps/workers/src/main.ts',
      env: { ...api.workersEnv, ...settings, METRICS_PORT: 0, WORKER_ROLES: ['mail'] },
      ready: /"working"/,
    });
    await eventually(() => expect(sink.mails).toHaveLength(1), slow);
    victim.signal('SIGKILL');
    await victim.ended;
    const [row] = await rowsOf(email);
    expect(row).toMatchObject({ status: 'pending', attempts: 1 });
    // The lease ends.
    await admin.query('update mails set next_attempt_at = now() where id = $1', [row?.id]);
    await using _worker = await api.startWorkers({ ...settings, WORKER_ROLES: ['mail'] });
    await settled(email, 'sent');
    const [first, second] = sink.mails.map(({ raw }) => received(raw));
    expect(second?.messageId).toBe(first?.messageId);
    expect(second?.token).not.toBe(first?.token);
    for (const token of [first?.token, second?.token])
      expect((await call(api.url, 'auth.verifyEmail', { input: { token } })).data).toEqual({ ok: true });
  },
);

test('a mail in hand is nobody else’s until its lease ends, and then another takes it up', async () => {
  await using _ = { [Symbol.asyncDispose]: () => mailbox.start() };
  await mailbox.stop();
  const people = await Promise.all([newPerson(api), newPerson(api), newPerson(api)]);
  const db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 4 });
  const claims = await Promise.all(Array.from({ length: 4 }, () => claimMails(db, { limit: 2, leaseS: 60 })));
  const ids = claims.flat().map(({ id }) => id);
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(3);
  expect(await claimMails(db, { limit: 10, leaseS: 60 })).toEqual([]);
  await admin.query('update mails set next_attempt_at = now() where id = any($1)', [ids]);
  expect(await claimMails(db, { limit: 10, leaseS: 0 })).toMatchObject([
    { attempts: 2 },
    { attempts: 2 },
    { attempts: 2 },
  ]);
  await db.close();
  await mailbox.start();
  for (const { email } of people) await mailbox.mail(email, '/verify-email');
});

test(
  'a server that refuses costs tries with growing waits, and after eight the mail has failed',
  { timeout: 60_000 },
  async () => {
    await using _ = { [Symbol.asyncDispose]: () => mailbox.start() };
    await mailbox.stop();
    await using sink = await smtpSink();
    sink.refuse(8);
    await using _worker = await api.startWorkers({
      WORKER_ROLES: ['mail'],
      SMTP_URL: `smtp://127.0.0.1:${sink.port}`,
      MAIL_FROM: 'NovaX <novax@example.test>',
      APP_URL: `${appUrl}/`,
    });
    const { email } = await newPerson(api);
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 7; attempt++) {
      const put = await eventually(async () => {
        const { rows } = await admin.query(
          `select id, extract(epoch from next_attempt_at - updated_at)::int as wait_s, last_error
           from mails where email = $1 and attempts = $2 and last_error is not null and next_attempt_at > now()`,
          [email, attempt],
        );
        expect(rows).toHaveLength(1);
        expect(rows[0].last_error).toContain('try later');
        return rows[0];
      }, slow);
      waits.push(put.wait_s);
      await admin.query('update mails set next_attempt_at = now(), last_error = null where id = $1', [put.id]);
      // Every write wakes whoever sends mails, so the test need not wait for the next look.
      await call(api.url, 'auth.requestPasswordReset', { input: { email: `${unique('nobody')}@example.test` } });
    }
    expect(waits).toEqual([15, 30, 60, 120, 240, 480, 960]);
    expect(await settled(email, 'failed')).toMatchObject([{ attempts: 8 }]);
    // Nothing is wrong with the next one.
    const next = await newPerson(api);
    await settled(next.email, 'sent');
    expect(sink.mails.map(({ to }) => to)).toEqual([[next.email]]);
    expect(received(sink.mails[0]?.raw ?? '')).toMatchObject({
      path: '/verify-email',
      messageId: expect.stringMatching(/@example\.test>$/),
    });
  },
);

test('without a server and a folder mails wait, and go out once there is one', async () => {
  await using _ = { [Symbol.asyncDispose]: () => mailbox.start() };
  await mailbox.stop();
  const { email } = await newPerson(api);
  {
    await using _idle = await api.startWorkers({ WORKER_ROLES: ['mail'] });
    expect(await rowsOf(email)).toMatchObject([{ status: 'pending', attempts: 0 }]);
  }
  await mailbox.start();
  await mailbox.mail(email, '/verify-email');
});

test('a reset for nobody is dropped, and one for somebody goes to the address of the account as it is written there', async () => {
  const nobody = `${unique('nobody')}@example.test`;
  const { email } = await newPerson(api);
  for (const asked of [nobody, email.toUpperCase()])
    expect((await call(api.url, 'auth.requestPasswordReset', { input: { email: asked } })).data).toEqual({ ok: true });
  expect(await settled(nobody, 'dropped')).toMatchObject([{ last_error: 'no such account' }]);
  expect((await mailbox.mail(email, '/reset-password')).to).toBe(email);
  expect(await mailbox.mailsTo(nobody)).toEqual([]);
});

test('an address is not flooded: the fourth link within half its life is dropped, while the third still works', async () => {
  const { email } = await newPerson(api);
  for (let n = 1; n <= 3; n++) {
    await call(api.url, 'auth.requestPasswordReset', { input: { email } });
    await mailbox.mail(email, '/reset-password', n);
  }
  await call(api.url, 'auth.requestPasswordReset', { input: { email } });
  await eventually(async () => {
    const resets = (await rowsOf(email)).filter(({ kind }) => kind === 'reset-password');
    expect(resets.map(({ status, last_error }) => [status, last_error])).toContainEqual([
      'dropped',
      'enough mails already',
    ]);
  }, slow);
  const { token } = await mailbox.mail(email, '/reset-password', 3);
  const answer = await call(api.url, 'auth.resetPassword', {
    input: { token, newPassword: 'four unrelated words here' },
  });
  expect(answer.data, answer.text).toEqual({ ok: true });
});

test('an invitation’s mail names who invites whom where, and its secret is stored in the invitation', async () => {
  const owner = await newPerson(api);
  const name = `Oak & <b>Elm</b> "Ltd"`;
  const { id: orgId } = await owner.client.organizations.create.mutate({ name, slug: unique('oak') });
  const email = `${unique('invited')}@example.test`;
  const { rows } = await admin.query(
    `with i as (insert into invitations (org_id, inviter_id, email, email_normalized, role, token_hash, expires_at)
                values ($1, $2, $3, $3, 'member', sha256(random()::text::bytea), now() + interval '7 days') returning id)
     insert into mails (kind, email, email_normalized, invitation_id) select 'invitation', $3, $3, id from i returning invitation_id as id`,
    [orgId, owner.id, email],
  );
  const mail = await mailbox.mail(email, '/accept-invitation');
  expect(mail.text).toContain(`${owner.username} invites you to work in ${name}`);
  expect(mail.html).toContain('Oak &amp; &lt;b&gt;Elm&lt;/b&gt; &quot;Ltd&quot;');
  expect(mail.html).not.toContain('<b>Elm');
  const stored = await admin.query('select token_hash = sha256($2::bytea) as same from invitations where id = $1', [
    rows[0].id,
    Buffer.from(mail.token ?? ''),
  ]);
  expect(stored.rows).toEqual([{ same: true }]);
});

test('the API may ask for mails and for nothing else: not read them, not for others, not about invitations it does not manage', async () => {
  const [one, other] = [await newPerson(api), await newPerson(api)];
  await using asApi = await connect(api.database.url('novax_api'));
  const ask = async (kind: string, userId: string): Promise<unknown> => {
    await asApi.query('begin');
    try {
      await asApi.query(`select set_config('app.current_user_id', $1, true)`, [one.id]);
      return await asApi.query(
        `select private.queue_mail(null, $1, 'x@example.test', 'x@example.test', $2, null, null)`,
        [kind, userId],
      );
    } finally {
      await asApi.query('rollback');
    }
  };
  await ask('verify-email', one.id);
  await expect(ask('verify-email', other.id)).rejects.toThrow('not the current user');
  await expect(ask('invitation', one.id)).rejects.toThrow('no invitation');
  for (const sql of [
    'select * from mails',
    'select * from one_time_tokens',
    `select private.issue_mail_token(gen_random_uuid(), sha256('x'), interval '1 day')`,
  ])
    await expect(asApi.query(sql)).rejects.toThrow('permission denied');
});

test('a mail that is done with issues no further secret', async () => {
  const { email } = await newPerson(api);
  const [row] = await settled(email, 'sent');
  const db = await openDatabase({ url: api.database.url('novax_worker'), poolMax: 1 });
  const facts = await issueMailSecret(db, { id: row?.id ?? '', tokenHash: Buffer.alloc(32, 7), ttlS: 60 });
  await db.close();
  expect(facts).toMatchObject({ refused: 'not pending', email: null });
});

test('names in a mail change neither its markup nor its headers', () => {
  const nasty = 'A<script>&"\'\r\nBcc: x@example.test';
  const { subject, html } = layout({
    subject: nasty,
    heading: nasty,
    paragraphs: [nasty],
    action: null,
    footer: nasty,
  });
  expect(subject).not.toMatch(/[\r\n]/);
  expect(html).not.toContain('<script>');
});
