/** Which driver runs the servers here, and why, in one line. */
import type { StackContext, StackDriver, StackName } from './driver.ts';

export interface Choice {
  driver: StackDriver;
  reason: string;
}

/** Loaded when wanted, so that a start by one driver pays for no other. */
const DRIVERS: Readonly<Record<StackName, () => Promise<StackDriver>>> = {
  external: async () => (await import('./external.ts')).externalDriver,
  native: async () => (await import('./native/driver.ts')).nativeDriver,
  docker: async () => (await import('./docker.ts')).dockerDriver,
};

/** The driver of that name. */
export function driverByName(name: StackName): Promise<StackDriver> {
  return DRIVERS[name]();
}

/**
 * `NOVAX_STACK` decides. Without it: external when DATABASE_URL is set; else native (no engine, no images, the same servers on every machine that can
 * have them); else docker. Throws when nothing is possible, naming the one command that helps.
 */
export async function chooseDriver(context: StackContext): Promise<Choice> {
  const asked = context.env['NOVAX_STACK'];
  if (asked !== undefined && asked !== '') {
    if (!isStackName(asked)) throw new Error(`NOVAX_STACK is "${asked}"; it must be native, docker or external`);
    return forced(context, asked);
  }
  if (context.env['DATABASE_URL']) return forced(context, 'external', 'DATABASE_URL is set');

  const native = await driverByName('native');
  const nativeHere = await native.detect(context);
  if (nativeHere.possible) return { driver: native, reason: `native: ${nativeHere.reason}` };
  const docker = await driverByName('docker');
  const dockerHere = await docker.detect(context);
  if (dockerHere.possible) return { driver: docker, reason: `docker: ${dockerHere.reason} (${nativeHere.reason})` };
  const command = nativeHere.command ?? dockerHere.command;
  throw new Error(
    `no way to run the servers here: ${nativeHere.reason}; ${dockerHere.reason}${command === undefined ? '' : `\nrun this, then try again: ${command}`}`,
  );
}

async function forced(context: StackContext, name: StackName, why = `NOVAX_STACK=${name}`): Promise<Choice> {
  const driver = await driverByName(name);
  const here = await driver.detect(context);
  if (here.possible) return { driver, reason: `${name}: ${why}; ${here.reason}` };
  throw new Error(
    `${why}, but ${here.reason}${here.command === undefined ? '' : `\nrun this, then try again: ${here.command}`}`,
  );
}

function isStackName(name: string): name is StackName {
  return name in DRIVERS;
}
