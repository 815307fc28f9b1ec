/** The gates of `npm run check` are alive: each finds a fault planted in a small tree of its own. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './architecture/syntax.ts';

const SOUND = {
  'packages/contracts/src/ids.ts': `export type Id = string;\n`,
  'packages/db/src/tx.ts': `import type { Id } from '../../contracts/src/ids.ts';\nexport const open = (id: Id): Id => id;\n`,
  'apps/api/src/main.ts': `import { open } from '../../../packages/db/src/tx.ts';\nopen('a');\n`,
};

describe('layers', () => {
  test('a sound tree passes', async () => {
    await using tree = await plant(SOUND);
    expect(await layers(tree)).toMatchObject({ code: 0, output: expect.stringContaining('3 modules, 0 problems') });
  });

  test('an import to the right is found, also as a type, as a dynamic import and below `await using`', async () => {
    await using tree = await plant({
      ...SOUND,
      'packages/contracts/src/right.ts': `import type { open } from '../../db/src/tx.ts';\nexport type Open = typeof open;\n`,
      'packages/runtime/src/right.ts': `export async function f(): Promise<unknown> {\n  await using _a = await import('../../db/src/tx.ts');\n  return 1;\n}\n`,
    });
    const { code, output } = await layers(tree);
    expect(code).toBe(1);
    expect(output).toContain('line-contracts: packages/contracts/src/right.ts → packages/db/src/tx.ts');
    expect(output).toContain('line-runtime: packages/runtime/src/right.ts → packages/db/src/tx.ts');
  });

  test('a circle, a barrel, an import from app to app and a file that nothing reaches are found', async () => {
    await using tree = await plant({
      ...SOUND,
      'packages/db/src/a.ts': `import { b } from './b.ts';\nexport const a = (): unknown => b;\n`,
      'packages/db/src/b.ts': `import { a } from './a.ts';\nexport const b = (): unknown => a;\n`,
      'packages/db/src/index.ts': `export * from './a.ts';\n`,
      'packages/db/src/c.ts': `import './index.ts';\n`,
      'apps/workers/src/main.ts': `import '../../api/src/main.ts';\n`,
    });
    const { code, output } = await layers(tree);
    expect(code).toBe(1);
    expect(output).toMatch(/^no-circular: packages\/db\/src\/[ab].ts → /m);
    expect(output).toContain('no-barrel: packages/db/src/c.ts → packages/db/src/index.ts');
    expect(output).toContain('no-app-to-app: apps/workers/src/main.ts → apps/api/src/main.ts');
    expect(output).toContain('no-dead-file: packages/db/src/c.ts');
  });

  test('a package that a room may not have, and server code run by contracts, are found', async () => {
    await using tree = await plant({
      ...SOUND,
      'packages/domain/src/a.ts': `import { Client } from 'pg';\nexport const c = Client;\n`,
      'packages/contracts/src/a.ts': `import { initTRPC } from '@trpc/server';\nimport { readFileSync } from 'node:fs';\nexport const t = [initTRPC, readFileSync];\n`,
    });
    const { code, output } = await layers(tree);
    expect(code).toBe(1);
    expect(output).toContain('externals-domain: packages/domain/src/a.ts');
    expect(output).toContain('contracts-take-types-of-trpc: packages/contracts/src/a.ts');
    expect(output).toContain('contracts-and-client-without-node: packages/contracts/src/a.ts → fs');
  });

  test('a cruise that sees no module fails', async () => {
    await using tree = await plant({ 'README.md': 'nothing to cruise' });
    expect(await layers(tree)).toMatchObject({ code: 1, output: expect.stringContaining('0 modules cruised') });
  });
});

describe('lint', () => {
  test.each([
    [
      'typescript(no-floating-promises)',
      `async function f(): Promise<void> {}\nexport function g(): void {\n  f();\n}\n`,
    ],
    ['typescript(no-misused-promises)', `export const g = (list: number[]): void => list.forEach(async () => {});\n`],
    ['typescript(no-explicit-any)', `export const a = (b: any): unknown => b;\n`],
    ['typescript(no-non-null-assertion)', `export const a = (b: string | null): string => b!;\n`],
    ['node(no-process-env)', `export const a = process.env['A'];\n`],
    ['eslint(no-console)', `export const a = (): void => console.log(1);\n`],
    ['eslint(no-empty)', `export function a(): void {\n  try {\n    a();\n  } catch {}\n}\n`],
    ['eslint(eqeqeq)', `export const a = (b: unknown): boolean => b == 1;\n`],
    ['eslint(max-params)', `export const a = (b: number, c: number, d: number, e: number): number => b + c + d + e;\n`],
  ])('%s is found', async (rule, text) => {
    await using tree = await plant({ 'packages/db/src/planted.ts': text, 'tsconfig.json': TSCONFIG });
    const { code, output } = await lint(tree);
    expect(output).toContain(rule);
    expect(code).toBe(1);
  });

  test('a sound file passes', async () => {
    await using tree = await plant({ ...SOUND, 'tsconfig.json': TSCONFIG });
    expect(await lint(tree)).toMatchObject({ code: 0 });
  });
});

const TSCONFIG = JSON.stringify({
  compilerOptions: {
    strict: true,
    target: 'es2024',
    module: 'nodenext',
    noEmit: true,
    allowImportingTsExtensions: true,
  },
  include: ['packages', 'apps'],
});

interface Tree extends AsyncDisposable {
  path: string;
}

interface Outcome {
  code: number;
  output: string;
}

/** A folder with the given files and the packages of this repository, gone with the scope. */
async function plant(files: Record<string, string>): Promise<Tree> {
  const path = await mkdtemp(join(tmpdir(), 'novax-gate-'));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), text);
  }
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function layers(tree: Tree): Promise<Outcome> {
  return run(tree, [join(ROOT, 'bin/check/layers.mjs'), tree.path]);
}

function lint(tree: Tree): Promise<Outcome> {
  return run(tree, [
    join(ROOT, 'node_modules/oxlint/bin/oxlint'),
    '--type-aware',
    '--config',
    join(ROOT, '.oxlintrc.json'),
    'packages',
  ]);
}

function run(tree: Tree, args: string[]): Promise<Outcome> {
  const PATH = [join(ROOT, 'node_modules/.bin'), dirname(process.execPath), process.env['PATH']].join(delimiter);
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      { cwd: tree.path, env: { ...process.env, PATH }, timeout: 15_000 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr });
      },
    );
  });
}
