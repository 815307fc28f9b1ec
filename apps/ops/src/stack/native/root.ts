/** The Debian root file system that holds the servers: made once by mmdebstrap, whole or not at all. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../../supervisor/lock.ts';
import type { StackContext } from '../driver.ts';
import { findDebianArchive, readAptSources } from './apt-sources.ts';
import { runProgram } from './run-program.ts';
import { findProgram } from './sandbox.ts';

export const SUITE = 'trixie';
export const PACKAGES = [
  'postgresql-17',
  'postgresql-17-pgvector',
  'postgresql-17-timescaledb',
  'valkey-server',
  'nats-server',
  'tzdata',
] as const;

/** A root is whole when these are there. */
const PROOF = [
  'usr/lib/postgresql/17/bin/postgres',
  'usr/lib/postgresql/17/lib/vector.so',
  'usr/lib/postgresql/17/lib/timescaledb.so',
  'usr/bin/valkey-server',
  'usr/sbin/nats-server',
  'usr/share/zoneinfo/UTC',
];

/** The keyring of Debian's archive on the host, for entries that name none. */
const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const STAMP = 'novax-root.json';
/** What a root is made of: another list makes another root. */
const RECIPE = JSON.stringify({ suite: SUITE, packages: PACKAGES, version: 1 });

/** Steps that mmdebstrap announces, with the share of the time that has passed when each begins (measured, two cores). */
const STAGES: readonly (readonly [RegExp, number, string])[] = [
  [/running apt-get update/, 0.02, 'reading package lists'],
  [/downloading packages/, 0.1, 'downloading packages'],
  [/extracting archives/, 0.25, 'extracting'],
  [/installing essential/, 0.35, 'installing essential packages'],
  [/installing remaining/, 0.5, 'installing servers'],
  [/cleaning/, 0.93, 'cleaning'],
];

/** Where the root lies: `NOVAX_NATIVE_ROOT` (one made elsewhere, never changed by us), else `.novax/root` of the checkout. */
export function rootPath(context: Pick<StackContext, 'checkout' | 'env'>): string {
  return context.env['NOVAX_NATIVE_ROOT'] ?? join(context.checkout, '.novax', 'root');
}

/** True when the root is there, was made from today's list, and was finished. One small file is read. */
export async function isRootReady(context: Pick<StackContext, 'checkout' | 'env'>): Promise<boolean> {
  const root = rootPath(context);
  if (context.env['NOVAX_NATIVE_ROOT'] !== undefined) return isWhole(root);
  const recipe = await readFile(join(root, STAMP), 'utf8').catch(() => '');
  return recipe.trim() === RECIPE;
}

/**
 * Makes the root unless it is ready. Built beside its place and renamed when verified, so a broken attempt leaves nothing that looks
 * whole; whatever half-made root is found is removed first. Two at once: the second waits for the first.
 */
export async function ensureRoot(context: StackContext): Promise<void> {
  if (await isRootReady(context)) return;
  const root = rootPath(context);
  if (context.env['NOVAX_NATIVE_ROOT'] !== undefined)
    throw new Error(`NOVAX_NATIVE_ROOT names ${root}, but the servers are not in it`);
  await mkdir(join(context.checkout, '.novax'), { recursive: true });
  await withLock(`${root}.lock`, context, async () => {
    if (await isRootReady(context)) return;
    await build(context, root);
  });
}

/** Deletes a root, also one whose files belong to the mapped users of an unprivileged build. */
export async function removeRoot(context: Pick<StackContext, 'env' | 'signal'>, root: string): Promise<void> {
  if (!existsSync(root)) return;
  const mmdebstrap = findProgram('mmdebstrap', context.env['PATH']);
  if (process.getuid?.() === 0 || mmdebstrap === undefined) return rm(root, { recursive: true, force: true });
  await runProgram(mmdebstrap, ['--unshare-helper', 'rm', '-rf', root], { signal: context.signal, env: context.env });
}

async function build(context: StackContext, root: string): Promise<void> {
  const mmdebstrap = findProgram('mmdebstrap', context.env['PATH']);
  if (mmdebstrap === undefined) throw new Error('mmdebstrap is not installed');
  const partial = `${root}.partial`;
  if (existsSync(partial)) context.log.line('a half-made Debian root was found and is made again');
  await removeRoot(context, partial);
  const archive = findDebianArchive(await readAptSources());
  const keyring = archive?.signedBy ?? DEBIAN_KEYRING;
  const options = await aptOptions(context);
  const args = [
    '--variant=minbase',
    '--mode=auto',
    '--format=directory',
    '--components=main',
    '--architectures=' + (process.arch === 'arm64' ? 'arm64' : 'amd64'),
    `--include=${PACKAGES.join(',')}`,
    ...(existsSync(keyring) ? [`--keyring=${keyring}`] : []),
    ...options.map((option) => `--aptopt=${option}`),
    // The packages would make and start a cluster of their own; documentation and translations are never read.
    '--setup-hook=mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    SUITE,
    partial,
    // Without a Debian entry on the host, mmdebstrap's own default mirror is used.
    ...(archive ? [archive.trusted ? `deb [trusted=yes] ${archive.uri} ${SUITE} main` : archive.uri] : []),
  ];
  context.log.progress('starting', 0);
  await runProgram(mmdebstrap, args, {
    signal: context.signal,
    env: {
      PATH: context.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: context.env['HOME'],
      TMPDIR: context.env['TMPDIR'],
      LC_ALL: 'C.UTF-8',
      ...proxies(context.env),
    },
    onLine: (line) => {
      const stage = STAGES.find(([pattern]) => pattern.test(line));
      if (stage) context.log.progress(stage[2], stage[1]);
    },
  });
  const missing = PROOF.filter((path) => !existsSync(join(partial, path)));
  if (missing.length > 0) throw new Error(`the new Debian root lacks ${missing.join(', ')}`);
  await writeFile(join(partial, STAMP), `${RECIPE}\n`).catch(async () => {
    // An unprivileged build leaves the top folder to a mapped user.
    await runProgram(mmdebstrap, ['--unshare-helper', 'sh', '-c', 'cat > "$0"', join(partial, STAMP)], {
      signal: context.signal,
      env: context.env,
      input: `${RECIPE}\n`,
    });
  });
  await removeRoot(context, root);
  await rename(partial, root);
  context.log.progress('ready', 1);
}

function isWhole(root: string): boolean {
  return PROOF.every((path) => existsSync(join(root, path)));
}

/** How the host's apt reaches its mirror (proxies, certificates, tolerated clocks) must hold for the root as well. */
async function aptOptions(context: StackContext): Promise<string[]> {
  const aptConfig = findProgram('apt-config', context.env['PATH']);
  if (aptConfig === undefined) return [];
  const dump = await runProgram(aptConfig, ['dump', 'Acquire'], { signal: context.signal, env: context.env }).catch(
    () => '',
  );
  return dump
    .split('\n')
    .filter((line) =>
      /^Acquire::(.*Proxy|.*CaInfo|.*CaPath|.*Verify-Peer|Check-Valid-Until|Check-Date)\b.* ".+";$/i.test(line),
    );
}

function proxies(env: StackContext['env']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => /^(https?|ftp|no)_proxy$/i.test(name)));
}
