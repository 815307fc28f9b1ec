/** Who may do what to the audit trail: add to it, and nothing else, by whatever statement. */
import { LOGIN_ROLES } from '@novax/db/bootstrap';
import { expect, test } from 'vitest';
import { connect, testDatabase } from '../kit/database.ts';

/** Every role that a process signs in with; the migrator makes the schema and may become its owner. */
const runtimeRoles = LOGIN_ROLES.filter((role) => role !== 'novax_migrator');

test('no runtime role can change, remove, detach, unlock or misdate what the trail holds: every attempt is refused', async () => {
  await using db = await testDatabase();
  await using admin = await connect(db.adminUrl);
  await admin.query(
    `insert into audit_log (actor_type, action, entity_type, entity_id) values ('system', 'access', 'x', gen_random_uuid())`,
  );
  const { rows } = await admin.query<{ name: string; column: string; parent: string | null }>(
    `select c.oid::regclass::text as name, (select attname from pg_attribute where attrelid = c.oid and attnum > 1 and not attisdropped order by attnum limit 1) as column,
            i.inhparent::regclass::text as parent
       from pg_class c left join pg_inherits i on i.inhrelid = c.oid
      where c.relkind in ('r', 'p') and c.relname ~ '^audit_(log|seals|horizon)'`,
  );
  expect(rows.length).toBeGreaterThanOrEqual(7);
  const attempts = rows.flatMap(({ name, column, parent }) => [
    `update ${name} set ${column} = ${column}`,
    `delete from ${name}`,
    `truncate ${name}`,
    `drop table ${name}`,
    `alter table ${name} disable trigger all`,
    `alter table ${name} disable row level security`,
    `alter table ${name} no force row level security`,
    `alter table ${name} owner to current_user`,
    `alter table ${name} rename to gone`,
    `alter table ${name} add column extra integer`,
    `create trigger extra before insert on ${name} for each row execute function private.refuse_change()`,
    `create rule extra as on insert to ${name} do instead nothing`,
    `do $$ begin lock table ${name} in access exclusive mode; end $$`,
    ...(parent === null ? [] : [`alter table ${parent} detach partition ${name}`]),
  ]);
  attempts.push(
    'set session_replication_role = replica',
    'set role novax_owner',
    'set role novax_definer',
    'set session authorization novax_owner',
    `insert into audit_log (actor_type, action, entity_type, entity_id, xact_id) values ('system', 'access', 'x', gen_random_uuid(), '3')`,
    `insert into audit_log (actor_type, action, entity_type, entity_id, epoch) values ('system', 'access', 'x', gen_random_uuid(), 9)`,
    `insert into audit_log (actor_type, action, entity_type, entity_id, created_at) values ('system', 'access', 'x', gen_random_uuid(), now() - interval '1 day')`,
    `insert into audit_log (id, actor_type, action, entity_type, entity_id) overriding system value values (1, 'system', 'access', 'x', gen_random_uuid())`,
    `insert into audit_horizon default values`,
    `insert into audit_seals (seal_no) values (1)`,
    `alter table audit_log alter column epoch set default 7`,
    'call private.start_audit_epoch()',
    'drop function private.refuse_change() cascade',
    'create or replace function private.refuse_change() returns trigger language plpgsql as $$ begin return new; end $$',
    'alter function private.refuse_change() owner to current_user',
    'merge into audit_log a using (select 1) s on true when matched then delete',
  );
  const before = await admin.query('select a::text from audit_log a');
  const rights = () =>
    admin.query(
      `select c.oid::regclass::text, relowner, relacl::text, relrowsecurity, relforcerowsecurity from pg_class c where relname ~ '^audit_' order by 1`,
    );
  const rightsBefore = (await rights()).rows;
  let refused = 0;
  for (const role of runtimeRoles) {
    await using client = await connect(db.url(role));
    // Refused for want of rights, not because a session begins read-only.
    await client.query('set default_transaction_read_only = off');
    for (const attempt of attempts) {
      const code = await client.query(attempt).then(
        () => 'allowed',
        (error: { code: string; message: string }) => error.code,
      );
      expect(code, `${role}: ${attempt}`).toBe('42501');
      refused += 1;
    }
    // Not an error, a warning that nothing was granted.
    for (const { name } of rows) await client.query(`grant all on ${name} to current_user`).catch(() => undefined);
  }
  expect((await rights()).rows).toEqual(rightsBefore);
  process.stdout.write(`audit trail: ${refused} attempts of ${runtimeRoles.length} runtime roles refused\n`);
  expect((await admin.query('select a::text from audit_log a')).rows).toEqual(before.rows);
});

test('not even the owner of the tables changes a row: triggers refuse it', async () => {
  await using db = await testDatabase();
  await using admin = await connect(db.adminUrl);
  const [row] = (
    await admin.query(
      `insert into audit_log (actor_type, action, entity_type, entity_id) values ('system', 'access', 'x', gen_random_uuid()) returning tableoid::regclass::text as partition`,
    )
  ).rows;
  for (const who of ['novax_owner', 'none']) {
    await admin.query(`set role ${who}`);
    for (const change of [
      `update audit_log set request_id = 'x'`,
      'delete from audit_log',
      'truncate audit_log',
      `truncate ${row.partition}`,
      `update audit_seals set hash = sha256('x')`,
      'update audit_seals set created_at = now()',
      'delete from audit_seals',
      'truncate audit_seals',
      'delete from audit_horizon',
      'truncate audit_horizon',
    ])
      await expect(admin.query(change), `${who}: ${change}`).rejects.toThrow(/append-only/);
  }
});

test('the functions of the seals are the worker’s alone', async () => {
  await using db = await testDatabase();
  for (const role of runtimeRoles.filter((name) => name !== 'novax_worker')) {
    await using client = await connect(db.url(role));
    for (const statement of [
      'select * from private.audit_settled(10)',
      `select private.store_audit_seals(1, '0', '1', '[]')`,
      'select private.mark_audit_anchored(array[gen_random_uuid()])',
      'select * from private.audit_heads()',
    ])
      await expect(client.query(statement), `${role}: ${statement}`).rejects.toMatchObject({ code: '42501' });
  }
});
