/** Who was erased after a backup was made does not come back with it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fsBlobStore } from '@novax/adapters/blobs-fs';
import { withDatabase } from '@novax/db/bootstrap';
import { allChains } from '@novax/db/queries/audit-verify';
import { openDatabase } from '@novax/db/tx';
import { sealSettled } from '@novax/domain/audit/seal';
import { verifyChain } from '@novax/domain/audit/verify';
import { recordErasures } from '@novax/domain/users/erase';
import { createSigner } from '@novax/runtime/signing';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBackup } from '../../apps/ops/src/backup/create.ts';
import { restoreBackup, type Restored } from '../../apps/ops/src/backup/restore.ts';
import { erasedPeople } from '../../apps/ops/src/backup/restore-erasures.ts';
import { directoryTarget } from '../../apps/ops/src/backup/target.ts';
import {
  BOOTSTRAP_SQL,
  connect,
  MIGRATIONS_DIR,
  TEST_PASSWORD,
  type TestDatabase,
  testDatabase,
} from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { askOver } from '../kit/trail.ts';

let db: TestDatabase;
let folder: string;
beforeAll(async () => {
  db = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'novax-erased-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await db[Symbol.asyncDispose]();
});

async function addPerson(admin: Client, name: string): Promise<string> {
  const { rows } = await admin.query<{ id: string }>(
    `insert into users (email, email_normalized, username, username_normalized, password_hash)
     values ($1 || '@example.test', $1 || '@example.test', $1, $1, 'x') returning id`,
    [name],
  );
  const id = rows[0]?.id ?? '';
  await admin.query(
    `insert into sessions (user_id, sid_hash, user_agent, ip_address, idle_expires_at, absolute_expires_at)
     values ($1, sha256(gen_random_uuid()::text::bytea), $2 || ' browser', '198.51.100.7', now() + interval '1 day', now() + interval '1 day')`,
    [id, name],
  );
  await admin.query(`insert into person_keys (user_id, wrapped_key, key_id) values ($1, '\\x01', 'k')`, [id]);
  return id;
}

async function addOrganization(admin: Client, slug: string, owner: string, others: readonly string[]): Promise<string> {
  await admin.query('begin');
  const { rows } = await admin.query<{ id: string }>(
    'insert into organizations (name, slug, owner_id) values ($1, $1, $2) returning id',
    [slug, owner],
  );
  const id = rows[0]?.id ?? '';
  await admin.query(`insert into org_members (org_id, user_id, role) values ($1, $2, 'owner')`, [id, owner]);
  for (const other of others)
    await admin.query(`insert into org_members (org_id, user_id, role) values ($1, $2, 'member')`, [id, other]);
  await admin.query('commit');
  return id;
}

const signer = createSigner(randomBytes(32).toString('base64'));

/** Seals what is settled, checks every chain, and answers their names. */
async function sealAndVerify(workerUrl: string, admin: Client): Promise<string[]> {
  const worker = await openDatabase({ url: workerUrl, poolMax: 1 });
  const ask = askOver(admin);
  const names = await eventually(async () => {
    while ((await sealSettled(worker, signer)).rows > 0);
    const chains = (await ask(allChains, [])).map(({ chain }) => chain).toSorted();
    for (const chain of chains) {
      const verdict = await verifyChain({ ask, signer, anchored: null }, chain === 'system' ? null : chain);
      expect(verdict).toMatchObject({ firstBroken: null, pending: 0 });
      expect(verdict.entries).toBeGreaterThan(0);
    }
    return chains;
  });
  await worker.close();
  return names;
}

const erase = async (admin: Client, id: string): Promise<void> => {
  await admin.query('begin');
  await admin.query(`select set_config('app.current_user_id', $1, true)`, [id]);
  const { rows } = await admin.query('select outcome from private.erase_person($1)', [id]);
  await admin.query('commit');
  expect(rows).toEqual([{ outcome: 'erased' }]);
};

async function restored(name: string, options: { erased?: string } = {}): Promise<Restored & { url: string }> {
  const url = withDatabase(db.adminUrl, `${db.name}_${name}`);
  const store = options.erased === undefined ? undefined : fsBlobStore({ folder: options.erased });
  const done = await restoreBackup({
    target: directoryTarget(join(folder, 'backups')),
    name: backupName,
    adminUrl: url,
    migrationsDir: MIGRATIONS_DIR,
    bootstrapFile: BOOTSTRAP_SQL,
    ...(store === undefined ? {} : { erased: () => erasedPeople(store) }),
  });
  return { ...done, url };
}
let backupName = '';

async function dropped(name: string): Promise<void> {
  await using maintenance = await connect(withDatabase(db.adminUrl, 'postgres'));
  await maintenance.query(`drop database if exists "${db.name}_${name}" with (force)`);
}

test('a restore erases again whom the list outside the database names, before anything could serve them', async () => {
  await using admin = await connect(db.adminUrl);
  const [gone, owner, stays] = [
    await addPerson(admin, 'gone'),
    await addPerson(admin, 'owner'),
    await addPerson(admin, 'stays'),
  ];
  const shared = await addOrganization(admin, 'shared', owner, [gone, stays]);
  const alone = await addOrganization(admin, 'alone', gone, []);
  await admin.query(
    `insert into audit_log (actor_type, action, entity_type, entity_id) values ('system', 'access', 'x', gen_random_uuid())`,
  );
  expect(await sealAndVerify(db.url('novax_worker'), admin)).toEqual(['system']);
  const target = directoryTarget(join(folder, 'backups'));
  ({ name: backupName } = await createBackup({ url: db.url('novax_backup'), target }));

  // After the backup: what was owned is handed over, two people go, one more comes and goes.
  await erase(admin, gone);
  await admin.query('begin');
  await admin.query(`update org_members set role = 'owner' where org_id = $1 and user_id = $2`, [shared, stays]);
  await admin.query('update organizations set owner_id = $2 where id = $1', [shared, stays]);
  await admin.query('commit');
  await erase(admin, owner);
  await erase(admin, await addPerson(admin, 'later'));
  const store = join(folder, 'store');
  const worker = await openDatabase({ url: db.url('novax_worker'), poolMax: 1 });
  expect(await recordErasures({ db: worker, blobs: fsBlobStore({ folder: store }) })).toBe(3);
  expect(await recordErasures({ db: worker, blobs: fsBlobStore({ folder: store }) })).toBe(0);
  await worker.close();

  try {
    const { url, erasedAgain } = await restored('erased', { erased: store });
    expect(erasedAgain).toBe(2);
    await using back = await connect(url);
    const { rows: people } = await back.query(
      `select u.id, u.status, u.username ~ '^erased-' as nameless, k.wrapped_key is null as keyless,
              (select count(*)::int from sessions s where s.user_id = u.id and (s.revoked_at is null or s.user_agent is not null)) as traces
         from users u join person_keys k on k.user_id = u.id order by u.created_at`,
    );
    expect(people).toEqual([
      { id: gone, status: 'deleted', nameless: true, keyless: true, traces: 0 },
      { id: owner, status: 'deleted', nameless: true, keyless: true, traces: 0 },
      { id: stays, status: 'active', nameless: false, keyless: false, traces: 1 },
    ]);
    const { rows: organizations } = await back.query(
      'select id, status, owner_id from organizations order by slug desc',
    );
    expect(organizations).toEqual([
      { id: shared, status: 'active', owner_id: stays },
      { id: alone, status: 'deleted', owner_id: gone },
    ]);
    const { rows: trail } = await back.query(
      `select entity_id, new_value from audit_log where entity_type = 'users' and action = 'delete' order by id`,
    );
    expect(new Set(trail.map(({ entity_id: id }) => id))).toEqual(new Set([gone, owner]));
    expect(trail[0]).toMatchObject({ new_value: { reason: 'was erased before the restore' } });
    const workerUrl = new URL(url);
    [workerUrl.username, workerUrl.password] = ['novax_worker', TEST_PASSWORD];
    expect(await sealAndVerify(workerUrl.href, back)).toEqual(['system', alone].toSorted());
    const { rows: clear } = await back.query(`select from users where email like 'gone@%' or email like 'owner@%'`);
    expect(clear).toEqual([]);
  } finally {
    await dropped('erased');
  }
}, 120_000);

test('without a list nobody is erased again, and the answer says none', async () => {
  try {
    const { url, erasedAgain } = await restored('kept');
    expect(erasedAgain).toBe(0);
    await using back = await connect(url);
    expect((await back.query(`select from users where status = 'active'`)).rowCount).toBe(3);
  } finally {
    await dropped('kept');
  }
}, 120_000);

test('a list that cannot be understood stops the restore before it is committed', async () => {
  const store = join(folder, 'broken');
  await fsBlobStore({ folder: store }).put('erasures/x', Buffer.from(''), 'text/plain');
  await writeFile(join(store, 'erasures', 'nobody.json'), '{}');
  try {
    await expect(restored('broken', { erased: store })).rejects.toThrow('names nobody');
    await using back = await connect(withDatabase(db.adminUrl, `${db.name}_broken`));
    expect((await back.query('select from users')).rowCount).toBe(0);
  } finally {
    await dropped('broken');
  }
}, 120_000);
