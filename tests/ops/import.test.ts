/** `novax import`: which files become documents, once each, also when the API dies meanwhile. Skipped, and said, where no stack can run. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createNovaxClient } from '@novax/client/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileBytesMax } from '../../apps/ops/src/import/files.ts';
import { importFiles } from '../../apps/ops/src/import/import.ts';
import { eventually } from '../kit/eventually.ts';
import { fullSpeed, ownStack, slowDown } from './own-stack.ts';

const stack = await ownStack();
if (stack.impossible !== undefined) console.warn(`SKIPPED: nothing can be imported here, because ${stack.impossible}`);
const possible = test.skipIf(stack.impossible !== undefined);

beforeAll(async () => {
  if (stack.impossible !== undefined) return;
  const up = await stack.run('up');
  expect(up, up.stderr).toMatchObject({ code: 0 });
}, 300_000);
afterAll(() => stack.remove(), 120_000);

/** Makes a folder of the test's own with these files and answers its path. */
async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const path = join(stack.scratch, name);
  await mkdir(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), text);
  }
  return path;
}

const stored = (titles: readonly string[]): Promise<{ title: string; content: string }[]> =>
  stack.rows('select title, content from documents where title = any($1) order by title collate "C"', {
    values: [titles],
  });

possible(
  'Markdown at any depth becomes documents titled by its path, other files and folders of packages do not',
  { timeout: 60_000 },
  async () => {
    const path = await folder('nested', {
      'a.md': '# A',
      'empty.md': '',
      'deep/er/b.markdown': '# B',
      'deep/UPPER.MD': '# Upper',
      'notes.txt': 'not Markdown',
      'node_modules/pkg/README.md': '# Package',
      '.git/c.md': '# Git',
      'nul.md': 'before\0after',
      'umlaut/über uns.md': 'Grüße 🚀',
    });
    await symlink(join(path, 'a.md'), join(path, 'link.md'));
    const ran = await stack.run('import', path, '-o', 'json');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(ran.stdout)).toEqual({ projectId: expect.any(String), created: 6, present: 0, refused: [] });
    expect(await stack.rows('select title, content from documents order by title collate "C"')).toEqual([
      { title: 'a.md', content: '# A' },
      { title: 'deep/UPPER.MD', content: '# Upper' },
      { title: 'deep/er/b.markdown', content: '# B' },
      { title: 'empty.md', content: '' },
      { title: 'nul.md', content: 'beforeafter' },
      { title: 'umlaut/über uns.md', content: 'Grüße 🚀' },
    ]);
  },
);

possible('importing again adds the new files alone', { timeout: 60_000 }, async () => {
  const path = await folder('again', { 'again/one.md': '1', 'again/two.md': '2' });
  expect(JSON.parse((await stack.run('import', path, '-o', 'json')).stdout)).toMatchObject({ created: 2, present: 0 });
  expect(JSON.parse((await stack.run('import', path, '-o', 'json')).stdout)).toMatchObject({ created: 0, present: 2 });
  await folder('again', { 'again/three.md': '3' });
  const ran = await stack.run('import', path);
  expect(ran).toMatchObject({ code: 0, stderr: expect.stringContaining('1 imported, 2 were there already') });
  expect(await stored(['again/one.md', 'again/two.md', 'again/three.md'])).toHaveLength(3);
});

possible('names with white space around them become one document, again and again', { timeout: 60_000 }, async () => {
  const path = await folder('spaces', { ' leading.md': 'x', ' dir/in.md': 'y' });
  const ran = await stack.run('import', path, '-o', 'json');
  expect(JSON.parse(ran.stdout)).toMatchObject({ created: 2, present: 0, refused: [] });
  expect(JSON.parse((await stack.run('import', path, '-o', 'json')).stdout)).toMatchObject({ created: 0, present: 2 });
  expect(await stored(['leading.md', 'dir/in.md'])).toHaveLength(2);

  await folder('spaces', { 'leading.md': 'another' });
  const clash = await stack.run('import', path, '-o', 'json');
  expect(clash).toMatchObject({ code: 1, stderr: expect.stringContaining('has the same title') });
  expect(await stored(['leading.md'])).toEqual([{ title: 'leading.md', content: 'x' }]);
});

possible('a file too large is left out and named, and the rest is imported', { timeout: 60_000 }, async () => {
  const path = await folder('large', {
    'large/fits.md': 'x'.repeat(fileBytesMax),
    'large/over.md': 'x'.repeat(fileBytesMax + 1),
    // Small enough as a file; every character takes six in a request's JSON.
    'large/swells.md': '\u0001'.repeat(fileBytesMax / 2),
    'large/small.md': 'x',
  });
  const ran = await stack.run('import', path, '-o', 'json');
  expect(ran.code, ran.stderr).toBe(1);
  expect(ran.stderr).toContain(`left out: large/over.md is larger than a document can be (${fileBytesMax + 1} bytes)`);
  expect(ran.stderr).toContain('refused: large/swells.md');
  expect(
    (await stored(['large/fits.md', 'large/over.md', 'large/swells.md', 'large/small.md'])).map((row) => row.title),
  ).toEqual(['large/fits.md', 'large/small.md']);
});

possible('a title too long is refused with its reason, and the rest is imported', { timeout: 60_000 }, async () => {
  const long = `${'d'.repeat(200)}/${'e'.repeat(200)}/${'f'.repeat(200)}.md`;
  const ran = await stack.run('import', await folder('long', { [long]: 'x', 'long/ok.md': 'x' }), '-o', 'json');
  expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining(`refused: ${long}`) });
  expect(await stored(['long/ok.md'])).toHaveLength(1);
});

possible(
  'a file that is gone when its turn comes is refused at once, and the rest is imported',
  { timeout: 60_000 },
  async () => {
    const path = await folder('gone', { 'gone/ok.md': 'x' });
    expect(await stack.run('import', path)).toMatchObject({ code: 0 });
    await folder('gone', { 'gone/new.md': 'x' });
    const { email, password, projectId } = JSON.parse(await readFile(join(stack.dir, 'demo.json'), 'utf8'));
    const client = createNovaxClient({ url: stack.state().urls['api'] ?? '' });
    await client.session.login({ email, password });
    const waits: string[] = [];
    const result = await importFiles({
      client,
      projectId,
      files: ['gone/ok.md', 'gone/new.md', 'gone/gone.md'].map((title) => ({
        title,
        path: join(path, title),
        bytes: 1,
      })),
      concurrency: 2,
      signal: new AbortController().signal,
      onProgress: () => undefined,
      onWait: (reason) => waits.push(reason),
    });
    expect(result).toEqual({
      created: 1,
      present: 1,
      refused: [{ title: 'gone/gone.md', reason: expect.stringContaining('it cannot be read: ENOENT') }],
    });
    expect(waits).toEqual([]);
  },
);

possible(
  'kill -9 of the API during an import: the import waits, goes on, and every file is there once',
  { timeout: 120_000 },
  async () => {
    const titles = Array.from({ length: 24 }, (_, n) => `killed/${n}.md`);
    const path = await folder('killed', Object.fromEntries(titles.map((title) => [title, `Text of ${title}`])));
    await slowDown(stack, 0.5);
    const importing = stack.begin('import', path);
    await eventually(async () => expect((await stored(titles)).length).toBeGreaterThan(3), { timeoutMs: 30_000 });
    process.kill(stack.pidOf('api'), 'SIGKILL');
    const ended = await importing.ended;
    await fullSpeed(stack);
    expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining('waiting for the API') });
    expect(ended.stderr).toContain('24 imported, 0 were there already');
    expect((await stored(titles)).map((row) => row.title)).toEqual(titles.toSorted());
  },
);

possible('an empty folder fails with exit 1 and says why', async () => {
  const path = await folder('empty', { 'only.txt': 'x' });
  expect(await stack.run('import', path)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining(`no Markdown files in ${path}`),
  });
});

test('a folder that is not there, and a file in its place, are wrong calls: exit 2', async () => {
  const missing = join(stack.scratch, 'missing');
  expect(await stack.run('import', missing)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`${missing} is not a folder`),
  });
  const file = join(await folder('plain', { 'a.md': 'x' }), 'a.md');
  expect(await stack.run('import', file)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`${file} is not a folder`),
  });
  expect(await stack.run('import', stack.scratch, '--concurrency', '0')).toMatchObject({ code: 2 });
});

test('without a running stack the import fails with exit 1 and says what to do', { timeout: 30_000 }, async () => {
  const { dir, run, remove, scratch } = await ownStack();
  try {
    await writeFile(join(scratch, 'a.md'), 'x');
    const ran = await run('import', scratch);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing is running here') });
    expect(ran.stderr).toContain('npx novax up');
    expect(dir).toContain(scratch);
  } finally {
    await remove();
  }
});
