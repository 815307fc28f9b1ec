/** The way from a bare checkout to our program under Node.js 24, tried on a small checkout of its own. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin', import.meta.url));
let checkout: string;

const MAIN = `const [what, value] = process.argv.slice(2);
if (what === 'exit') process.exitCode = Number(value);
else if (what === 'wait') { process.on(value, () => { console.log('told ' + value); process.exit(5); }); setInterval(() => {}, 1000); console.log('waiting'); }
else console.log(JSON.stringify({ argv: process.argv.slice(2), major: Number.parseInt(process.versions.node, 10), path: process.env.PATH.split(':')[0], node: process.execPath, cache: process.env.NODE_COMPILE_CACHE }));
`;

beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'novax-bootstrap-'));
  await cp(bin, join(checkout, 'bin'), { recursive: true });
  await mkdir(join(checkout, 'apps/ops/src'), { recursive: true });
  await writeFile(join(checkout, 'apps/ops/src/main.ts'), MAIN);
  await writeFile(
    join(checkout, 'package.json'),
    JSON.stringify({ name: 'tried', version: '1.0.0', private: true, type: 'module' }),
  );
  await writeLock('1.0.0');
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

async function writeLock(version: string): Promise<void> {
  const packages = { '': { name: 'tried', version } };
  await writeFile(
    join(checkout, 'package-lock.json'),
    JSON.stringify({ name: 'tried', version, lockfileVersion: 3, requires: true, packages }),
  );
}

function novax(
  args: string[],
  onOutput: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
) {
  const child = spawn(process.execPath, [join(checkout, 'bin/novax.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A cache that the test run itself was given would be passed on.
    env: { ...process.env, NODE_COMPILE_CACHE: undefined },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    onOutput(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
}

test('without node_modules it installs, then runs the program under Node.js 24 with that Node.js first on the PATH', async () => {
  const first = await novax(['--flag', 'a b']);
  expect(first.stderr).toContain('installing dependencies');
  const seen: unknown = JSON.parse(first.stdout);
  expect(seen).toMatchObject({ argv: ['--flag', 'a b'], cache: join(checkout, '.novax/cache/node') });
  expect(seen).toHaveProperty('major', Number.parseInt(process.versions.node, 10));
  expect(seen).toHaveProperty('path', join(process.execPath, '..'));
});

test('a second run installs nothing; a changed lockfile is installed again', async () => {
  await novax([]);
  expect((await novax([])).stderr).toBe('');
  await writeFile(
    join(checkout, 'package.json'),
    JSON.stringify({
      name: 'tried',
      version: '1.0.1',
      private: true,
      type: 'module',
      dependencies: { inner: 'file:inner' },
    }),
  );
  await mkdir(join(checkout, 'inner'));
  await writeFile(join(checkout, 'inner/package.json'), JSON.stringify({ name: 'inner', version: '1.0.0' }));
  const packages = {
    '': { name: 'tried', version: '1.0.1', dependencies: { inner: 'file:inner' } },
    'inner': { version: '1.0.0' },
    'node_modules/inner': { resolved: 'inner', link: true },
  };
  await writeFile(
    join(checkout, 'package-lock.json'),
    JSON.stringify({ name: 'tried', version: '1.0.1', lockfileVersion: 3, requires: true, packages }),
  );
  await rm(join(checkout, 'node_modules/.package-lock.json'), { force: true });
  expect((await novax([])).stderr).toContain('installing dependencies');
  expect(await readFile(join(checkout, 'node_modules/inner/package.json'), 'utf8')).toContain('inner');
});

test('two at once do not fight: both end well, one installs', async () => {
  const [one, two] = await Promise.all([novax([]), novax([])]);
  expect([one.code, two.code]).toEqual([0, 0]);
  expect([one, two].filter((run) => run.stderr.includes('done in'))).toHaveLength(1);
});

test('the lock of a dead installer is taken over by exactly one of those that wait', async () => {
  await mkdir(join(checkout, '.novax'), { recursive: true });
  await writeFile(join(checkout, '.novax/install.lock'), '4194303');
  const runs = await Promise.all([novax([]), novax([]), novax([])]);
  expect(runs.map((run) => run.code)).toEqual([0, 0, 0]);
  expect(runs.filter((run) => run.stderr.includes('done in'))).toHaveLength(1);
});

test('an installation that fails says why and exits 1', async () => {
  await writeFile(
    join(checkout, 'package.json'),
    JSON.stringify({ name: 'tried', version: '1.0.0', dependencies: { inner: 'file:nowhere' } }),
  );
  const run = await novax([]);
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/could not be installed[\s\S]*run the same command again/);
});

test('the exit code of the program is ours', async () => {
  expect(await novax(['exit', '3'])).toMatchObject({ code: 3 });
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s reaches the program, whose end is awaited', async (signal) => {
  await novax([]);
  let sent = false;
  const run = await novax(['wait', signal], (text, kill) => {
    if (text.includes('waiting') && !sent) kill(signal);
    sent ||= text.includes('waiting');
  });
  expect(run).toMatchObject({ code: 5, stdout: `waiting\ntold ${signal}\n` });
});
