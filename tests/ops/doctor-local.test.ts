/** Commands beside a local stack take their addresses from it, and only while it runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { withDatabase } from '@novax/db/bootstrap';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { need, readSettings } from '../../apps/ops/src/database/settings.ts';
import { saveEndpoints } from '../../apps/ops/src/stack/endpoints.ts';
import { tryLock } from '../../apps/ops/src/supervisor/lock.ts';
import { identify } from '../../apps/ops/src/supervisor/pids.ts';
import { lockPath, runDir, writeState } from '../../apps/ops/src/supervisor/state.ts';
import { type TestDatabase, testDatabase } from '../kit/database.ts';
import { servers } from '../kit/servers.ts';
import { addressesOf, novax } from './run-novax.ts';

let db: TestDatabase;
let dir: string;

beforeAll(async () => {
  db = await testDatabase();
  dir = await mkdtemp(join(tmpdir(), 'novax-local-'));
  mkdirSync(runDir(dir), { recursive: true });
  const { queueRedisUrl, cacheRedisUrl, natsUrl } = servers();
  const urls = addressesOf(db);
  await saveEndpoints(dir, {
    DATABASE_URL: urls['DATABASE_URL'] ?? '',
    DATABASE_WORKER_URL: urls['DATABASE_WORKER_URL'] ?? '',
    DATABASE_AI_URL: urls['DATABASE_AI_URL'] ?? '',
    DATABASE_MIGRATOR_URL: urls['DATABASE_MIGRATOR_URL'] ?? '',
    DATABASE_BACKUP_URL: urls['DATABASE_BACKUP_URL'] ?? '',
    // As the stack keeps it: the administrator's own database.
    DATABASE_ADMIN_URL: withDatabase(db.adminUrl, 'postgres'),
    QUEUE_REDIS_URL: queueRedisUrl,
    CACHE_REDIS_URL: cacheRedisUrl,
    NATS_URL: natsUrl,
    STORAGE_DRIVER: 'fs',
    STORAGE_DIR: join(dir, 'data', 'storage'),
    JWT_PRIVATE_KEYS: '{}',
    KEY_ENCRYPTION_KEY: '',
    AUDIT_SIGNING_KEY: '',
  });
  const supervisor = identify(process.pid);
  if (!supervisor) throw new Error('this process has no identity');
  const now = new Date().toISOString();
  writeState(dir, {
    version: 1,
    phase: 'ready',
    error: null,
    stack: 'native',
    stackReason: null,
    mode: 'detached',
    serversOnly: true,
    supervisor,
    startedAt: now,
    readyAt: now,
    last: '',
    progress: 1,
    notes: [],
    processes: [],
    services: [],
    urls: {},
  });
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await db[Symbol.asyncDispose]();
});

test('while it runs, every verb works without one setting; once it has stopped, they say how to start', async () => {
  const attempt = await tryLock(lockPath(dir));
  if (!attempt.held) throw new Error('the lock is taken');
  try {
    const settings = await readSettings({ env: {}, dir });
    expect(settings.source).toBe('local stack');
    expect(new URL(need(settings, 'DATABASE_ADMIN_URL')).pathname).toBe(`/${db.name}`);
    expect((await novax('doctor', {}, dir)).stdout).toMatch(/^ok {4}migrations/m);
    expect((await novax('migrate status', {}, dir)).code).toBe(0);
    expect((await novax('partitions list --check', {}, dir)).code).toBe(0);
    const made = await novax('backup create -o json', {}, dir);
    expect(made.code).toBe(0);
    expect(made.stdout).toContain(join(dir, 'backups'));
    expect((await novax('backup verify', {}, dir)).code).toBe(0);
  } finally {
    await attempt.lock.release();
  }
  const { code, stderr } = await novax('migrate status', {}, dir);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('npx novax up') });
  expect((await novax('backup list', {}, dir)).stdout).toContain('complete');
}, 60_000);

test('one address in the environment means that all come from there: a gap is never filled from the local stack', async () => {
  const attempt = await tryLock(lockPath(dir));
  if (!attempt.held) throw new Error('the lock is taken');
  try {
    const { code, stderr } = await novax('backup create', { DATABASE_URL: db.url('novax_api') }, dir);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('DATABASE_BACKUP_URL is not set') });
  } finally {
    await attempt.lock.release();
  }
});
