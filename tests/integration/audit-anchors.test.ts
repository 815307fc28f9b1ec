/** Anchors by the workers' job: heads outside the database, and what a cut-off end looks like beside them. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectJobQueue } from '@novax/adapters/queues';
import { parseAnchor } from '@novax/contracts/audit-anchor';
import { expect, test } from 'vitest';
import { schedules } from '../../apps/workers/src/schedules.ts';
import { newPerson } from '../kit/actors.ts';
import { startTestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeOrganization, makeProject } from '../kit/factories.ts';
import { quiet } from '../kit/quiet.ts';

const slow = { timeoutMs: 30_000, everyMs: 50 };

test('the hourly job anchors every head, marks it, and lets verify find an end that was cut off', async () => {
  expect(schedules.find(({ key }) => key === 'anchor-audit')?.everyMs).toBe(3_600_000);
  const folder = await mkdtemp(join(tmpdir(), 'novax-anchors-'));
  await using api = await startTestApi({ env: { STORAGE_DRIVER: 'fs', STORAGE_DIR: folder } });
  await using admin = await connect(api.database.adminUrl);
  const person = await newPerson(api);
  const { id: organizationId } = await makeOrganization(person.client);
  await makeProject(person.client, { organizationId });
  await using _workers = await api.startWorkers({ WORKER_ROLES: ['seals', 'jobs'], STORAGE_DIR: folder });
  await eventually(async () => {
    const { rows } = await admin.query('select pending from private.audit_state()');
    expect(rows[0].pending).toBe('0');
  }, slow);
  const queue = await connectJobQueue({
    url: api.env.QUEUE_REDIS_URL,
    prefix: api.workersEnv.QUEUE_PREFIX,
    log: quiet,
  });
  await queue.add([{ name: 'anchor-audit', id: 'anchor-audit-now', payload: {} }]);
  const ask = async () =>
    (await call(api.url, 'audit.verify', { input: { organizationId }, authorization: person.authorization })).data;
  await eventually(async () => {
    const { rowCount } = await admin.query('select from audit_horizon where anchored_at is not null');
    expect(rowCount).toBe(1);
  }, slow);
  await queue.close();

  const [name = ''] = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.json'));
  expect(name).toMatch(/^audit-anchors\/\d{4}\/\d\d\/\d\d\/\d{6}-[0-9a-f-]{36}\.json$/);
  const anchor = parseAnchor(await readFile(join(folder, name), 'utf8'));
  const { rows: heads } = await admin.query(
    `select chain, max(seal_no)::text as "sealNo" from audit_seals where anchored_at is not null group by chain order by chain`,
  );
  expect(anchor?.body.heads.map(({ chain, sealNo }) => ({ chain, sealNo }))).toEqual(heads);
  expect(heads.map(({ chain }) => chain)).toEqual([organizationId, 'system'].toSorted());
  expect(await ask()).toMatchObject({ ok: true, firstBroken: null });

  await admin.query(
    `set session_replication_role = replica;
     delete from audit_log where org_id = '${organizationId}'; delete from audit_seals where org_id = '${organizationId}';
     reset session_replication_role`,
  );
  expect(await ask()).toMatchObject({
    ok: false,
    firstBroken: { sealNo: 1, auditId: null, problem: expect.stringContaining('was anchored outside the database') },
  });
  await rm(folder, { recursive: true, force: true });
}, 60_000);
