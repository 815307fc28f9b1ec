/**
 * `npm run check [-- --only lint,types] [-- --fix]`: every gate that needs no server, two at a time, one line each; exits 1 when any fails.
 * `--fix` formats and mends what the linter can before it checks.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const TOOLS = {
  oxfmt: join(modules, 'oxfmt/bin/oxfmt'),
  oxlint: join(modules, 'oxlint/bin/oxlint'),
  tsc: join(modules, 'typescript/bin/tsc'),
  knip: join(modules, 'knip/bin/knip.js'),
  squawk: join(modules, 'squawk-cli/js/bin/squawk'),
  vitest: join(modules, 'vitest/vitest.mjs'),
};
const CONCURRENCY = 2;
const STEP_TIMEOUT_MS = 120_000;

/** Longest first, so that the short ones fill the second core. A step without arguments to run on fails with what it says. */
const STEPS = {
  unit: () => [TOOLS.vitest, 'run', '--config', 'vitest.unit.config.ts'],
  types: () => [TOOLS.tsc, '-p', 'tsconfig.json', '--noEmit'],
  lint: () => [TOOLS.oxlint, '--type-aware', '--deny-warnings'],
  dead: () => [TOOLS.knip, '--no-progress', '--no-config-hints'],
  layers: () => [join(root, 'bin/check/layers.mjs')],
  format: () => [TOOLS.oxfmt, '--check'],
  sql: () => {
    const files = globSync('migrations/*.up.sql', { cwd: root }).sort();
    if (files.length === 0) throw new Error('no migrations/*.up.sql found: the SQL lint would guard nothing');
    return [TOOLS.squawk, '--config', '.squawk.toml', '--pg-version', '17', '--assume-in-transaction', ...files];
  },
};

process.exitCode = await main();

async function main() {
  let options;
  try {
    options = parseArgs({ options: { only: { type: 'string' }, fix: { type: 'boolean', default: false } } }).values;
  } catch (error) {
    console.error(`${error.message}\nusage: npm run check -- [--only ${Object.keys(STEPS).join(',')}] [--fix]`);
    return 2;
  }
  const names = options.only === undefined ? Object.keys(STEPS) : options.only.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !Object.hasOwn(STEPS, name));
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(STEPS).join(', ')}`);
    return 2;
  }
  const start = performance.now();
  if (options.fix) {
    await step('fix lint', () => [TOOLS.oxlint, '--type-aware', '--fix', '--silent']);
    await step('fix format', () => [TOOLS.oxfmt]);
  }
  const failed = await inParallel(names);
  const took = seconds(performance.now() - start);
  console.log(
    failed.length === 0 ? `\nall ${names.length} gates hold, ${took}` : `\nfailed: ${failed.join(', ')}, ${took}`,
  );
  return failed.length === 0 ? 0 : 1;
}

/** Runs the steps, at most two at once; answers the names of those that failed. */
async function inParallel(names) {
  const waiting = [...names];
  const failed = [];
  const lane = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      if (!(await step(name, STEPS[name]))) failed.push(name);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return failed;
}

/** Runs one step and prints its line; answers whether it passed. */
async function step(name, command) {
  const start = performance.now();
  const { code, output } = await run(command).catch((error) => ({ code: 1, output: `${error.message}\n` }));
  const line = `${code === 0 ? 'ok  ' : 'FAIL'}  ${name.padEnd(10)} ${seconds(performance.now() - start).padStart(7)}`;
  console.log(code === 0 ? line : `${line}\n${output.trimEnd()}\n`);
  return code === 0;
}

/** Runs a program of the checkout under this Node and collects what it says; it is stopped after two minutes. */
async function run(command) {
  const child = spawn(process.execPath, command(), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: STEP_TIMEOUT_MS,
    env: {
      ...process.env,
      PATH: [join(modules, '.bin'), dirname(process.execPath), process.env.PATH].join(delimiter),
      ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
    },
  });
  const parts = [];
  child.stdout.on('data', (part) => parts.push(part));
  child.stderr.on('data', (part) => parts.push(part));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const stopped = signal === null ? '' : `\nstopped by ${signal}`;
      resolve({ code: code ?? 1, output: `${Buffer.concat(parts).toString()}${stopped}` });
    });
  });
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
