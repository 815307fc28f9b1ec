/** Command lines that run a program of the Debian root as an ordinary, unprivileged user. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** User and group inside the sandbox. PostgreSQL refuses to run as user 0. */
const INSIDE_UID = '1000';

export interface Sandbox {
  bwrap: string;
  root: string;
  /** Bound to /data. */
  data: string;
  /** Bound to /run/novax: configuration, sockets. Holds `passwd`, which names the user inside. */
  run: string;
}

/** Lines of /etc/passwd inside; initdb asks for the name of its user. */
export const PASSWD = 'root:x:0:0:root:/:/usr/sbin/nologin\nnovax:x:1000:1000:NovaX:/data:/usr/sbin/nologin\n';

/** Descriptor on which bwrap says the process id of the program it started. */
export const INFO_FD = 3;

/**
 * Arguments for bwrap. The user namespace maps the caller to 1000 with no capability, so every file made inside belongs to the owner of the
 * checkout: no second system user is needed, and a stack started by root or by anybody works the same. The root is read-only; /data and
 * /run/novax are all that can be written; the network is the host's, because the servers listen on its loopback. The process namespace is shared on
 * purpose: the process id that `novax status` shows is one that `kill` understands. `--die-with-parent` ends the server when the supervisor is killed.
 */
export function sandboxArgs(
  sandbox: Sandbox,
  program: readonly string[],
  options: { infoFd?: boolean } = {},
): string[] {
  const { root, data, run } = sandbox;
  return [
    '--unshare-user',
    '--uid',
    INSIDE_UID,
    '--gid',
    INSIDE_UID,
    '--unshare-uts',
    '--hostname',
    'novax',
    '--cap-drop',
    'ALL',
    '--ro-bind',
    join(root, 'usr'),
    '/usr',
    '--symlink',
    'usr/bin',
    '/bin',
    '--symlink',
    'usr/sbin',
    '/sbin',
    '--symlink',
    'usr/lib',
    '/lib',
    '--symlink',
    'usr/lib64',
    '/lib64',
    '--ro-bind',
    join(root, 'etc'),
    '/etc',
    '--ro-bind',
    join(run, 'passwd'),
    '/etc/passwd',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--tmpfs',
    '/tmp',
    '--bind',
    data,
    '/data',
    '--bind',
    run,
    '/run/novax',
    '--remount-ro',
    '/',
    '--clearenv',
    '--setenv',
    'PATH',
    '/usr/bin:/usr/sbin',
    '--setenv',
    'HOME',
    '/data',
    '--setenv',
    'LANG',
    'C.UTF-8',
    '--setenv',
    'TZ',
    'UTC',
    '--chdir',
    '/data',
    '--die-with-parent',
    ...(options.infoFd ? ['--info-fd', String(INFO_FD)] : []),
    '--',
    ...program,
  ];
}

/** Full path of a program on the caller's PATH, or undefined. */
export function findProgram(name: string, path = ''): string | undefined {
  for (const folder of [...path.split(delimiter), '/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']) {
    if (folder === '') continue;
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      continue;
    }
  }
  return undefined;
}
