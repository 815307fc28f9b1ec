/** What sealing costs those who write, and how far it is behind when there is little to do. */
import { createPersonKeys } from '@novax/db/person-keys';
import { openDatabase } from '@novax/db/tx';
import { createDocument } from '@novax/domain/documents/commands';
import { createKeyring } from '@novax/runtime/keyring';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from 'pg';
import { newPerson } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { connect } from '../kit/database.ts';
import { eventually } from '../kit/eventually.ts';
import { makeDocument, makeOrganization, makeProject } from '../kit/factories.ts';

let api: TestApi;
let admin: Client & AsyncDisposable;
beforeAll(async () => {
  api = await startTestApi();
  admin = await connect(api.database.adminUrl);
});
afterAll(async () => {
  await admin.end();
  await api[Symbol.asyncDispose]();
});

async function project() {
  const { client, id: userId } = await newPerson(api);
  const { id: organizationId } = await makeOrganization(client);
  const { id: projectId } = await makeProject(client, { organizationId });
  return { client, userId, projectId, organizationId };
}

const waiting = async (): Promise<number> =>
  Number((await admin.query('select pending from private.audit_state()')).rows[0].pending);

test('at idle a row is under a seal within a second (p95)', async () => {
  const { client, projectId } = await project();
  await using _seals = await api.startWorkers({ WORKER_ROLES: ['seals'] });
  await eventually(async () => expect(await waiting()).toBe(0), { timeoutMs: 20_000 });
  const lags: number[] = [];
  for (let n = 0; n < 40; n += 1) {
    const { id } = await makeDocument(client, { projectId });
    const started = performance.now();
    await eventually(
      async () => {
        const { rowCount } = await admin.query(
          `select from audit_log a join audit_seals s on s.org_id = a.org_id and a.id = any(s.row_ids) where a.entity_id = $1`,
          [id],
        );
        expect(rowCount).toBe(1);
      },
      { timeoutMs: 10_000, everyMs: 5 },
    );
    lags.push(performance.now() - started);
  }
  lags.sort((a, b) => a - b);
  const [p50 = 0, p95 = 0] = [lags[20], lags[37]];
  process.stdout.write(
    `audit seals at idle: ${Math.round(p50)} ms behind at the median, ${Math.round(p95)} ms at p95\n`,
  );
  expect(p95).toBeLessThanOrEqual(1_000);
}, 60_000);

test('sealing the caller’s address takes nothing a writer would notice', async () => {
  const { projectId, organizationId, userId } = await project();
  const url = api.database.url('novax_api');
  const personKeys = createPersonKeys(createKeyring(api.env.KEY_ENCRYPTION_KEY));
  const dbs = {
    plain: await openDatabase({ url, poolMax: 1 }),
    sealed: await openDatabase({ url, poolMax: 1, personKeys }),
  };
  const call = { requestId: 'r', ip: '203.0.113.9', traceparent: null };
  const context = { orgId: organizationId, actor: { type: 'user', userId }, call } as const;
  const timed = async (kind: keyof typeof dbs): Promise<number> => {
    const started = performance.now();
    await dbs[kind].tenant(context, (tx) =>
      createDocument(tx, { projectId, title: 'Timed', content: 'Text', status: 'active' }),
    );
    return performance.now() - started;
  };
  const times = { plain: [] as number[], sealed: [] as number[] };
  // One and one, so that a noisy moment hits both alike; the first few make connections, plans and the key.
  for (let n = 0; n < 420; n += 1)
    for (const kind of n % 2 === 0 ? (['plain', 'sealed'] as const) : (['sealed', 'plain'] as const)) {
      const ms = await timed(kind);
      if (n >= 20) times[kind].push(ms);
    }
  for (const db of Object.values(dbs)) await db.close();
  const median = (of: number[]): number => of.toSorted((a, b) => a - b)[of.length / 2] ?? 0;
  const [plain, sealed] = [median(times.plain), median(times.sealed)];
  process.stdout.write(
    `createDocument: ${plain.toFixed(2)} ms without sealing the address, ${sealed.toFixed(2)} ms with; rate ratio ${(plain / sealed).toFixed(3)} (medians of 400)\n`,
  );
  // The aim is 0.95; less is asserted because the machine is shared.
  expect(plain / sealed).toBeGreaterThanOrEqual(0.85);
}, 120_000);

test('creating documents in one organization is as fast with the sealer as without', async () => {
  const { client, projectId } = await project();
  const inFlight = 8;
  const round = async (documents: number): Promise<number> => {
    const started = performance.now();
    let left = documents;
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (left-- > 0) await makeDocument(client, { projectId });
      }),
    );
    return documents / ((performance.now() - started) / 1000);
  };
  await round(60);
  const ratios: number[] = [];
  const rates = { with: 0, without: 0 };
  const rounds = 8;
  for (let n = 0; n < rounds; n += 1) {
    const sealed = async (): Promise<number> => {
      await using _seals = await api.startWorkers({ WORKER_ROLES: ['seals'] });
      return round(120);
    };
    // In turn, and in turns of order, so that a noisy moment hits both alike.
    const [first, second] = n % 2 === 0 ? [await sealed(), await round(120)] : [await round(120), await sealed()];
    const [withSeals, without] = n % 2 === 0 ? [first, second] : [second, first];
    rates.with += withSeals / rounds;
    rates.without += without / rounds;
    ratios.push(withSeals / without);
  }
  ratios.sort((a, b) => a - b);
  const median = ((ratios[rounds / 2 - 1] ?? 0) + (ratios[rounds / 2] ?? 0)) / 2;
  process.stdout.write(
    `documents.create: ${Math.round(rates.without)}/s without the sealer, ${Math.round(rates.with)}/s with it; ratio ${median.toFixed(3)} (median of ${rounds} pairs)\n`,
  );
  // The aim is 0.95; less is asserted because the machine is shared.
  expect(median).toBeGreaterThanOrEqual(0.85);
  await using _seals = await api.startWorkers({ WORKER_ROLES: ['seals'] });
  await eventually(async () => expect(await waiting()).toBe(0), { timeoutMs: 30_000 });
}, 300_000);
