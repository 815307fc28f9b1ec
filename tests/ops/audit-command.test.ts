/** `novax audit verify`, and what becomes of the chains when a backup is restored into another database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fsBlobStore } from '@novax/adapters/blobs-fs';
import { withDatabase } from '@novax/db/bootstrap';
import { openDatabase } from '@novax/db/tx';
import { anchorHeads } from '@novax/domain/audit/anchors';
import { sealSettled } from '@novax/domain/audit/seal';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBackup } from '../../apps/ops/src/backup/create.ts';
import { restoreBackup } from '../../apps/ops/src/backup/restore.ts';
import { directoryTarget } from '../../apps/ops/src/backup/target.ts';
import { BOOTSTRAP_SQL, connect, MIGRATIONS_DIR, TEST_PASSWORD } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { startTrail, type Trail } from '../kit/trail.ts';
import { addressesOf, novax, type Ran } from './run-novax.ts';

interface Verdicts {
  ok: boolean;
  anchors: boolean;
  chains: {
    chain: string;
    seals: number;
    entries: number;
    pending: number;
    firstBroken: { sealNo: number; auditId: string | null; problem: string } | null;
    lostByRestore: number[];
  }[];
}

let folder: string;
let trail: Trail;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novax-audit-'));
  trail = await startTrail(2, fsBlobStore({ folder: join(folder, 'storage') }));
  await using client = await connect(trail.database.url('novax_worker'));
  for (let n = 0; n < 3; n += 1) {
    for (const orgId of trail.organizations) await trail.write(client, { orgId, count: 3 });
    await trail.sealAll();
  }
  await trail.anchor();
});
afterAll(async () => {
  await trail[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const settings = (database: Parameters<typeof addressesOf>[0] = trail.database) => ({
  ...addressesOf(database),
  STORAGE_DRIVER: 'fs',
  STORAGE_DIR: join(folder, 'storage'),
  AUDIT_SIGNING_KEY: trail.signingKey,
});
const verify = (line = '', env: Record<string, string> = settings()): Promise<Ran> => novax(`audit verify${line}`, env);
/** Printed by the command under test. */
const verdictsOf = ({ stdout }: Ran): Verdicts => JSON.parse(stdout) as Verdicts;

test('a sound trail exits 0 and says what it checked, as a table and as JSON', async () => {
  const table = await verify();
  expect(table).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('every chain holds: 18 entries under 6 seals'),
  });
  const json = await verify(' -o json');
  expect(json.code).toBe(0);
  expect(verdictsOf(json)).toMatchObject({ ok: true, anchors: true });
  const one = verdictsOf(await verify(` --organization ${trail.organizations[0]} -o json`));
  expect(one.chains.map(({ chain }) => chain)).toEqual([trail.organizations[0]]);
});

test('a broken trail exits 1 and names chain, seal and entry; without anchors the command says what it cannot tell', async () => {
  const { admin, organizations } = trail;
  const [orgId = ''] = organizations;
  const tamper = (sql: string) =>
    admin.query(`set session_replication_role = replica; ${sql}; reset session_replication_role`);
  const before = (await admin.query('select * from audit_log where org_id = $1 order by id limit 1 offset 4', [orgId]))
    .rows[0];
  await tamper(`update audit_log set request_id = 'x' where id = ${before.id}`);
  const broken = await verify(' -o json');
  expect(broken.code).toBe(1);
  expect(verdictsOf(broken).chains.find(({ chain }) => chain === orgId)?.firstBroken).toEqual({
    sealNo: 2,
    auditId: before.id,
    problem: 'the entry was changed',
  });
  expect((await verify()).stdout).toContain(`${orgId}  seal 2, entry ${before.id}: the entry was changed`);
  await tamper(`update audit_log set request_id = '${before.request_id}' where id = ${before.id}`);
  expect((await verify()).code).toBe(0);
  const blind = await verify('', { ...addressesOf(trail.database), AUDIT_SIGNING_KEY: trail.signingKey });
  expect(blind).toMatchObject({ code: 0, stderr: expect.stringContaining('no place for anchors is named') });
  expect((await verify(' --organization nobody')).code).toBe(1);
});

test('after a restore the trail holds, rows brought along unsealed are sealed first, and new ones after them', async () => {
  const { admin, organizations } = trail;
  const [orgId = ''] = organizations;
  await using source = await connect(trail.database.url('novax_worker'));
  await trail.write(source, { orgId, count: 2 });
  // As from a cluster whose numbers had run far ahead of the new one's.
  await admin.query(
    `set session_replication_role = replica; update audit_log set xact_id = '900000000000' where epoch = 1 and xact_id >= (select next_xact from audit_horizon); reset session_replication_role`,
  );
  const target = directoryTarget(join(folder, 'backups'));
  const { name } = await createBackup({ url: trail.database.url('novax_backup'), target });
  await using restored = await restoredFrom(target, name, 'again');
  const before = verdictsOf(await verify(' -o json', settings(restored)));
  expect(before).toMatchObject({ ok: true });
  expect(before.chains.reduce((sum, { pending }) => sum + pending, 0)).toBe(2);

  await using writer = await connect(restored.url('novax_worker'));
  await trail.write(writer, { orgId, count: 4 });
  await sealAll(restored);
  const after = await verify(' -o json', settings(restored));
  expect(after.code, after.stdout).toBe(0);
  expect(verdictsOf(after).chains.find(({ chain }) => chain === orgId)).toMatchObject({
    seals: 5,
    entries: 15,
    pending: 0,
  });
  await using client = await connect(restored.adminUrl);
  const { rows } = await client.query('select epoch, row_count from audit_seals where org_id = $1 order by seal_no', [
    orgId,
  ]);
  expect(rows.slice(-2)).toEqual([
    { epoch: 1, row_count: 2 },
    { epoch: 2, row_count: 4 },
  ]);

  // A restore of the restored: rows of two epochs wait at once.
  await trail.write(writer, { orgId, count: 1 });
  const second = await createBackup({ url: restored.url('novax_backup'), target });
  await using twice = await restoredFrom(target, second.name, 'twice');
  const third = await createBackup({ url: twice.url('novax_backup'), target });
  await using thrice = await restoredFrom(target, third.name, 'thrice');
  await using last = await connect(thrice.url('novax_worker'));
  await trail.write(last, { orgId, count: 1 });
  await sealAll(thrice);
  const end = await verify(' -o json', settings(thrice));
  expect(end.code, end.stdout).toBe(0);
  expect(verdictsOf(end).chains.find(({ chain }) => chain === orgId)).toMatchObject({ entries: 17, pending: 0 });
}, 180_000);

test('heads that were anchored after the backup are reported as lost by the restore', async () => {
  const storage = join(folder, 'late-storage');
  await using lost = await startTrail(1, fsBlobStore({ folder: storage }));
  const [orgId = ''] = lost.organizations;
  await using client = await connect(lost.database.url('novax_worker'));
  await lost.write(client, { orgId });
  await lost.sealAll();
  const target = directoryTarget(join(folder, 'late'));
  const { name } = await createBackup({ url: lost.database.url('novax_backup'), target });
  await lost.write(client, { orgId });
  await lost.sealAll();
  await lost.anchor();
  await using restored = await restoredFrom(target, name, 'late');
  const found = await verify(' -o json', {
    ...settings(restored),
    STORAGE_DIR: storage,
    AUDIT_SIGNING_KEY: lost.signingKey,
  });
  expect(verdictsOf(found)).toMatchObject({ ok: true, chains: [{ seals: 1, firstBroken: null, lostByRestore: [2] }] });
  expect(found.stderr).toContain('are not in what was restored');
}, 60_000);

async function sealAll(at: { url(role: 'novax_worker'): string; adminUrl: string }): Promise<void> {
  const db = await openDatabase({ url: at.url('novax_worker'), poolMax: 1 });
  await using admin = await connect(at.adminUrl);
  await eventually(
    async () => {
      await sealSettled(db, trail.signer);
      const { rows } = await admin.query('select pending from private.audit_state()');
      expect(rows[0].pending).toBe('0');
    },
    { timeoutMs: 20_000 },
  );
  // Anchored where the lost database's anchors lie.
  await anchorHeads({ db, store: trail.store, signer: trail.signer });
  await db.close();
}

async function restoredFrom(target: ReturnType<typeof directoryTarget>, name: string, suffix: string) {
  const database = `${trail.database.name}_${suffix}`;
  const adminUrl = withDatabase(trail.database.adminUrl, database);
  await restoreBackup({ target, name, adminUrl, migrationsDir: MIGRATIONS_DIR, bootstrapFile: BOOTSTRAP_SQL });
  return {
    ...trail.database,
    name: database,
    adminUrl,
    url: (role: string): string => {
      const url = new URL(adminUrl);
      url.username = role;
      url.password = TEST_PASSWORD;
      return url.href;
    },
    [Symbol.asyncDispose]: async () => {
      await using maintenance = await connect(withDatabase(trail.database.adminUrl, 'postgres'));
      await maintenance.query(`drop database if exists "${database}" with (force)`);
    },
  };
}
