/** Installs the dependencies when they are missing or not those of package-lock.json. Runs on any Node.js ≥ 18, without any dependency. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { createBar } from './bar.mjs';

const POLL_MS = 300;
const STALE_RIGHT_MS = 10_000;

/**
 * Makes sure that node_modules is what package-lock.json says. Costs one hash when it is. Two at once: the second waits. Throws an error
 * whose message is for people when it cannot be done.
 */
export async function ensureInstalled(root) {
  if (isInstalled(root)) return;
  const release = await takeLock(join(root, '.novax', 'install.lock'));
  try {
    if (isInstalled(root)) return;
    await npmCi(root);
    mkdirSync(join(root, 'node_modules'), { recursive: true });
    writeFileSync(stampPath(root), stamp(root));
  } finally {
    release();
  }
}

const stampPath = (root) => join(root, 'node_modules', '.novax-install');

/** Hash of the lockfile and of the platform: a folder copied from another kind of machine is installed anew. */
function stamp(root) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/** True by our stamp; or, when somebody ran npm by hand, if npm's own record of what lies there agrees with the lockfile. */
export function isInstalled(root) {
  const current = stamp(root);
  if (readText(stampPath(root)) === current) return true;
  if (!recordAgrees(root)) return false;
  writeFileSync(stampPath(root), current);
  return true;
}

function recordAgrees(root) {
  const record = readText(join(root, 'node_modules', '.package-lock.json'));
  if (record === undefined) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(record).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link || !path.includes('node_modules/')) return true;
    if (present[path] === undefined) return entry.optional === true && !ours(entry);
    return present[path].version === entry.version && existsSync(join(root, path));
  });
}

/** An optional package for this very platform must be there. */
function ours(entry) {
  const holds = (list, value) => [list].flat().includes(value);
  if (!entry.os || !entry.cpu || entry.libc) return false;
  return holds(entry.os, process.platform) && holds(entry.cpu, process.arch);
}

/** npm skips what is made for another platform. */
function forOthers(entry) {
  const excludes = (list, value) => list !== undefined && ![list].flat().includes(value);
  return excludes(entry.os, process.platform) || excludes(entry.cpu, process.arch);
}

async function npmCi(root) {
  const listed = Object.entries(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages);
  const total = listed.filter(
    ([path, entry]) => path.includes('node_modules/') && !entry.link && !forOthers(entry),
  ).length;
  const bar = createBar('installing dependencies', process.stderr);
  const npm =
    process.env.npm_execpath && /npm-cli\.c?js$/.test(process.env.npm_execpath)
      ? [process.execPath, process.env.npm_execpath]
      : ['npm'];
  const [command, ...before] = npm;
  const args = [
    ...before,
    'ci',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--loglevel=http',
    '--color=false',
    '--progress=false',
  ];
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const problems = [];
  let fetched = 0;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (/^npm http (fetch|cache)/.test(line)) {
        fetched += 1;
        bar.update(Math.min(fetched / total, 0.99), `${Math.min(fetched, total)} of about ${total} packages`);
      } else if (/^npm (error|ERR!)/.test(line)) {
        problems.push(line.replace(/^npm (error|ERR!)\s?/, ''));
      }
    });
  }
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      problems.push(error.code === 'ENOENT' ? 'npm was not found on the PATH' : error.message);
      resolve(1);
    });
    child.on('close', (status) => resolve(status ?? 1));
  });
  if (code === 0) return bar.done();
  bar.fail();
  const text = problems.slice(0, 12).join('\n');
  const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENOTCACHED|network/i.test(text);
  throw new Error(
    `the dependencies could not be installed (npm ci ended with ${code})\n${text}\n` +
      (offline
        ? 'The package registry cannot be reached. Connect, or fill the npm cache on a machine that can, then run the same command again.'
        : 'Mend what npm says, then run the same command again.'),
  );
}

/** A lock file that names its holder. It appears whole (a link to a finished file); one left by a dead process is replaced by exactly one other. */
async function takeLock(path) {
  mkdirSync(dirname(path), { recursive: true });
  const ticket = `${path}.${process.pid}`;
  writeFileSync(ticket, String(process.pid));
  let said = false;
  while (!tryLink(ticket, path) && !replaceStale(ticket, path)) {
    if (!said) process.stderr.write('another process is installing the dependencies; waiting for it\n');
    said = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  rmSync(ticket, { force: true });
  const release = () => rmSync(path, { force: true });
  const leave = { SIGINT: () => process.exit(130), SIGTERM: () => process.exit(143) };
  process.once('exit', release);
  for (const [signal, listener] of Object.entries(leave)) process.once(signal, listener);
  return () => {
    process.off('exit', release);
    for (const [signal, listener] of Object.entries(leave)) process.off(signal, listener);
    release();
  };
}

function tryLink(ticket, path) {
  try {
    linkSync(ticket, path);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Only whoever makes the folder named after the dead holder may replace its lock; a folder that outlived its maker is removed after a while. */
function replaceStale(ticket, path) {
  const holder = readText(path);
  if (holder === undefined || isAlive(Number(holder))) return false;
  const right = `${path}.mend-${Number(holder)}`;
  try {
    mkdirSync(right);
  } catch {
    const made = statSync(right, { throwIfNoEntry: false });
    if (made && Date.now() - made.mtimeMs > STALE_RIGHT_MS) rmSync(right, { recursive: true, force: true });
    return false;
  }
  try {
    if (readText(path) !== holder) return false;
    renameSync(ticket, path);
    return true;
  } finally {
    rmSync(right, { recursive: true, force: true });
  }
}

/** An unreadable lock names nobody: process 0 would be ourselves. */
function isAlive(pid) {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
