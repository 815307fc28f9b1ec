/** Checks of this host: Node.js, the folder of stored files, free space. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { humanBytes } from '../database/format.ts';
import type { Settings } from '../database/settings.ts';
import type { Check, Finding } from './check.ts';
import { fail, ok, warn } from './check.ts';
import { compareVersions } from './server-checks.ts';

const GIB = 2 ** 30;

/** `dataDir` is where this host keeps data, and absent when other machines do. */
export function hostChecks(settings: Settings, dataDir: string | undefined): Check[] {
  const { STORAGE_DRIVER: driver, STORAGE_DIR: dir, BACKUP_DIR: backups } = settings.values;
  const folders = [dataDir, driver === 's3' ? undefined : dir, backups].filter((folder) => folder !== undefined);
  return [
    { name: 'node', mend: 'install Node.js 24', run: async () => [judgeNode(process.versions.node)] },
    ...(dir === undefined && driver !== 's3'
      ? []
      : [
          {
            name: 'storage',
            mend: 'make STORAGE_DIR a folder that this user may write to',
            run: () => storage(driver, dir),
          },
        ]),
    ...[...new Set(folders.map(existing))].map((folder) => ({
      name: 'disk',
      mend: `is ${folder} there?`,
      run: () => disk(folder),
    })),
  ];
}

/** The programs are TypeScript that Node.js 24 runs by itself. */
export function judgeNode(version: string): Finding {
  return compareVersions(version, '24.0.0') < 0
    ? fail('node', version, 'install Node.js 24 or newer')
    : ok('node', version);
}

async function storage(driver: string | undefined, dir: string | undefined): Promise<Finding[]> {
  if (driver === 's3' || dir === undefined)
    return [warn('storage', 'object store: not tried from here', 'the API says on /readyz whether it reaches it')];
  const probe = join(dir, `.doctor-${randomBytes(6).toString('hex')}`);
  await mkdir(dir, { recursive: true });
  try {
    await writeFile(probe, 'probe', { flag: 'wx' });
  } finally {
    await rm(probe, { force: true });
  }
  return [ok('storage', `${dir} can be written`)];
}

/** The folder itself, or where it would be made. */
function existing(folder: string): string {
  const path = resolve(folder);
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path));
}

async function disk(folder: string): Promise<Finding[]> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return [judgeDisk(folder, { free: bavail * bsize, total: blocks * bsize })];
}

/** Free space in bytes: below 1 GiB PostgreSQL may stop at any moment; below a tenth and 10 GiB it is time to look. */
export function judgeDisk(folder: string, { free, total }: { free: number; total: number }): Finding {
  const found = `${humanBytes(free)} of ${humanBytes(total)} free at ${folder}`;
  if (free < GIB) return fail('disk', found, 'free space now: a full disk stops the database');
  if (free < 10 * GIB && free < total / 10) return warn('disk', found, 'free space soon');
  return ok('disk', found);
}
