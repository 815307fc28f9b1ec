/** The server images of the docker stack: built when their recipes changed, optional ones left out when they cannot be had. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StackConfig } from '../config.ts';
import { writeJsonAtomically } from '../config.ts';
import type { ServiceName, StackContext } from '../driver.ts';
import { compose, isWanted, OPTIONAL_SERVICES } from './compose.ts';
import type { OptionalService } from './compose.ts';

/** One service for each image; the cache shares the queue's. */
const REQUIRED: readonly ServiceName[] = ['postgres', 'valkey-queue', 'nats', 'pgbouncer'];
const FOLDERS = ['postgres', 'valkey', 'nats', 'pgbouncer', 'meilisearch', 's3'];
const BASE_VARIABLES = [
  'DEBIAN_IMAGE',
  'VALKEY_IMAGE',
  'NATS_IMAGE',
  'MEILISEARCH_IMAGE',
  'S3_IMAGE',
  'COMPOSE_PROFILES',
  'DOCKER_HOST',
  'DOCKER_CONTEXT',
];

interface BuiltImages {
  recipe: string;
  leftOut: OptionalService[];
}

const recordPath = (dir: string): string => join(dir, 'docker-images.json');

/** Builds what is missing or out of date. An optional server whose image cannot be had is said and left out; any other failure throws. */
export async function ensureImages(context: StackContext, config: StackConfig): Promise<void> {
  const recipe = await recipeOf(context);
  if ((await builtImages(context.dir)).recipe === recipe) return;
  const build = async (service: string): Promise<void> => {
    context.log.progress(`building the image of ${service}`);
    await compose(context, config, {
      args: ['build', service],
      onLine: (line) => context.log.progress(`${service}: ${line.slice(0, 80)}`),
    });
  };
  for (const service of REQUIRED) await build(service);
  const leftOut: OptionalService[] = [];
  for (const service of OPTIONAL_SERVICES.filter((name) => isWanted(context, name))) {
    try {
      await build(service);
    } catch (error) {
      if (context.signal.aborted) throw error;
      leftOut.push(service);
      const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
      context.log.line(`${service} is left out, its image cannot be had: ${reason}`);
    }
  }
  const built: BuiltImages = { recipe, leftOut };
  await writeJsonAtomically(recordPath(context.dir), built);
}

/** Optional servers that could not be had when the images were built. */
export async function leftOutServices(dir: string): Promise<readonly OptionalService[]> {
  return (await builtImages(dir)).leftOut;
}

async function builtImages(dir: string): Promise<BuiltImages> {
  const text = await readFile(recordPath(dir), 'utf8').catch(() => '');
  // Written by `ensureImages` alone; whatever else it may hold only causes another, cached, build.
  return text === '' ? { recipe: '', leftOut: [] } : (JSON.parse(text) as BuiltImages);
}

/** Everything that decides what the images hold: their folders, the base images asked for, and the engine they lie in. */
async function recipeOf(context: StackContext): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of FOLDERS) {
    const path = join(context.checkout, 'infra', 'images', folder);
    for (const file of (await readdir(path)).toSorted())
      hash.update(`${folder}/${file}\0`).update(await readFile(join(path, file)));
  }
  for (const name of BASE_VARIABLES) hash.update(`${name}=${context.env[name] ?? ''}\0`);
  return hash.digest('hex');
}
