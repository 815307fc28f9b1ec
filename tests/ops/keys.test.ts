/** `novax keys`: what it writes, the API can read; what it must not lose, it does not. */
import { mkdtempDisposable, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importKeys, signingKeyAt } from '../../apps/api/src/auth/keys.ts';
import { novax } from './run-novax.ts';

let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
beforeAll(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), 'novax-keys-'));
});
afterAll(() => folder.remove());

let files = 0;
const newFile = (): string => join(folder.path, `keys-${++files}.json`);
const run = (line: string) => novax(line, {});
const now = (): number => Math.floor(Date.now() / 1000);
const kidsIn = async (file: string): Promise<string[]> =>
  (await importKeys(await readFile(file, 'utf8'))).signing.map(({ kid }) => kid);

test.each(['EdDSA', 'ES256'])(
  'new writes one %s key that the API can use, for its owner alone, and never over a file',
  async (alg) => {
    const file = newFile();
    const made = await run(`keys new ${file} --alg ${alg} -o json`);
    expect(made.code).toBe(0);
    const { signing, jwks } = await importKeys(await readFile(file, 'utf8'));
    expect(JSON.parse(made.stdout)).toEqual({ file, kid: signing[0]?.kid, alg });
    expect(jwks.keys[0]).not.toHaveProperty('d');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const before = await readFile(file, 'utf8');
    expect(await run(`keys new ${file}`)).toMatchObject({ code: 1, stderr: expect.stringContaining('keys rotate') });
    expect(await readFile(file, 'utf8')).toBe(before);
  },
);

test('rotate puts a new key first, which signs when its lead is over; until then the old one does', async () => {
  const file = newFile();
  await run(`keys new ${file}`);
  const [old] = await kidsIn(file);
  const { code, stdout } = await run(`keys rotate ${file} -o json`);
  expect(code).toBe(0);
  const keys = await importKeys(await readFile(file, 'utf8'));
  expect(keys.signing).toHaveLength(2);
  expect(keys.signing[1]?.kid).toBe(old);
  expect(signingKeyAt(keys, now()).kid).toBe(old);
  expect(signingKeyAt(keys, now() + 301).kid).toBe(keys.signing[0]?.kid);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(stdout).not.toContain('"d"');
});

test('keep bounds the old keys, and never takes the one that signs', async () => {
  const file = newFile();
  await run(`keys new ${file}`);
  const [signer = ''] = await kidsIn(file);
  for (let times = 0; times < 4; times++) await run(`keys rotate ${file} --keep 1`);
  const kids = await kidsIn(file);
  expect(kids).toHaveLength(3);
  expect(kids.at(-1)).toBe(signer);
  for (let times = 0; times < 4; times++) await run(`keys rotate ${file} --keep 1 --lead 0`);
  expect(await kidsIn(file)).toHaveLength(2);
});

test('drop takes one key, also the one that signs, and then the next signs at once', async () => {
  const file = newFile();
  await run(`keys new ${file}`);
  const [stolen = ''] = await kidsIn(file);
  const { stdout } = await run(`keys rotate ${file} --drop ${stolen}`);
  expect(stdout).toContain(`${stolen} is gone`);
  const keys = await importKeys(await readFile(file, 'utf8'));
  expect(keys.signing.map(({ kid }) => kid)).not.toContain(stolen);
  expect(signingKeyAt(keys, now()).kid).toBe(keys.signing[0]?.kid);
});

test('what cannot be done is refused, the file untouched, and no secret is repeated', async () => {
  const file = newFile();
  await run(`keys new ${file}`);
  const before = await readFile(file, 'utf8');
  expect((await run(`keys rotate ${file} --drop nothing`)).code).toBe(1);
  for (const wrong of ['--keep -1', '--keep many', '--lead 1.5', '--lead 99999999', '--alg RS256'])
    expect((await run(`keys rotate ${file} ${wrong}`)).code, wrong).toBe(2);
  expect(await readFile(file, 'utf8')).toBe(before);
  expect((await run(`keys rotate ${newFile()}`)).code).toBe(1);
  const broken = newFile();
  await writeFile(broken, '{"keys":[{"d":"hush-hush"');
  const refused = await run(`keys rotate ${broken}`);
  expect(refused.code).toBe(1);
  expect(refused.stderr).not.toContain('hush');
  expect((await run('keys rotate --help')).stdout).toContain('--drop');
});
