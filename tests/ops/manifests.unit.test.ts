/** What `novax manifests render` guarantees about the Kubernetes objects it prints. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, parseConfig } from '@novax/cdk8s/config';
import type { DeploymentConfig } from '@novax/cdk8s/config';
import { RULES, lintManifests } from '@novax/cdk8s/lint/lint';
import { allowedTraffic } from '@novax/cdk8s/lint/traffic';
import { viewRendering } from '@novax/cdk8s/lint/view';
import { SECRET_KEYS, requiredSecrets } from '@novax/cdk8s/secrets';
import { manifestStream, renderManifests } from '@novax/cdk8s/synth';
import type { Manifest } from '@novax/cdk8s/synth';
import { Yaml } from 'cdk8s';
import { describe, expect, test } from 'vitest';
import { loadDeploymentConfig } from '../../apps/ops/src/commands/manifests.ts';
import { queueLimitsSchema } from '../../apps/workers/src/queue-limits.ts';
import { MUTANTS } from './manifests-mutants.ts';

const small = await loadDeploymentConfig({ profile: 'small' });

const objectsOf = (config: DeploymentConfig): Manifest[] => renderManifests(config).flatMap(({ objects }) => objects);

/** The shipped configuration with top-level fields replaced; `undefined` takes one away. */
function variant(changes: Record<string, unknown>): DeploymentConfig {
  return parseConfig(changed(changes));
}

function changed(changes: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({ ...structuredClone(small), ...changes }).filter(([, value]) => value !== undefined),
  );
}

/** Every option that changes which objects are rendered, in each of its positions. */
const VARIANTS: readonly (readonly [string, DeploymentConfig])[] = [
  ['as shipped', small],
  ['without Meilisearch', variant({ data: { ...small.data, meilisearch: undefined } })],
  ['without monitoring', variant({ monitoringNamespace: undefined })],
  ['with one worker', variant({ workers: { ...small.workers, replicas: 1 } })],
  [
    'with backups in a bucket',
    variant({
      backup: {
        driver: 's3',
        endpoint: 'http://backup.example.com:9000',
        region: 'eu',
        bucket: 'novax-backups',
        cidrs: ['192.0.2.0/25', '192.0.2.200/32'],
        schedule: '0 2 * * *',
        deadlineSeconds: 3600,
      },
    }),
  ],
  [
    'with an embedding service',
    variant({
      embedding: {
        provider: 'openai',
        baseUrl: 'https://models.example.com/v1',
        model: 'text-embedding-3-small',
        cidrs: ['192.0.2.7/32'],
        port: 443,
      },
    }),
  ],
  [
    'with a mail server',
    variant({
      mail: {
        from: 'NovaX <novax@example.com>',
        appUrl: 'https://app.example.com',
        cidrs: ['192.0.2.25/32'],
        port: 465,
      },
    }),
  ],
  [
    'with queues of its own',
    variant({
      workers: {
        ...small.workers,
        queueLimits: { embedding: { concurrency: 2, max: 60, perMs: 60_000 } },
        jobLockMs: 60_000,
        queuePage: true,
      },
    }),
  ],
  ['in another namespace', variant({ namespace: 'product-a', release: '2.1.0-rc.3' })],
];

describe('the rules', () => {
  test.each(VARIANTS)('find nothing in the profile small, %s', (_name, config) => {
    expect(lintManifests(objectsOf(config), config)).toEqual([]);
  });

  test('are each held by a mutant', () => {
    expect(Object.keys(MUTANTS).toSorted()).toEqual(RULES.map(({ id }) => id).toSorted());
  });

  const mutants = Object.entries(MUTANTS).flatMap(([rule, mutations]) =>
    mutations.map((mutation, index) => ({ rule, index, mutation })),
  );
  test.each(mutants)('$rule catches its mutant $index', ({ rule, mutation }) => {
    const objects = structuredClone(objectsOf(small));
    mutation(objects);
    expect(lintManifests(objects, small).map((finding) => finding.rule)).toContain(rule);
  });
});

describe('the traffic solver', () => {
  test('finds the API reaching its five servers, name service and object storage, and nothing else', () => {
    const fromApi = [...allowedTraffic(viewRendering(objectsOf(small), small))].filter((edge) =>
      edge.startsWith('api ->'),
    );
    expect(fromApi.toSorted()).toEqual([
      'api -> kube-dns TCP 53',
      'api -> kube-dns UDP 53',
      'api -> meilisearch TCP 7700',
      'api -> nats TCP 4222',
      'api -> outside 203.0.113.0/24 TCP 443',
      'api -> postgres TCP 5432',
      'api -> valkey-cache TCP 6379',
      'api -> valkey-queue TCP 6379',
    ]);
  });

  test('finds everybody reaching everybody where there is no policy', () => {
    const open = objectsOf(small).filter(({ kind }) => kind !== 'NetworkPolicy');
    const allowed = allowedTraffic(viewRendering(open, small));
    expect(allowed).toContain('stranger in another namespace -> postgres TCP 5432');
    expect(allowed).toContain('backup -> metadata service TCP 31337');
  });
});

describe('rendering', () => {
  test('gives the same bytes for the same configuration', () => {
    expect(manifestStream(renderManifests(structuredClone(small)))).toBe(manifestStream(renderManifests(small)));
  });

  test('gives YAML that reads back as the same objects', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'novax-manifests-'));
    try {
      const file = join(folder, 'all.yaml');
      await writeFile(file, manifestStream(renderManifests(small)));
      expect(Yaml.load(file)).toEqual(objectsOf(small));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('puts the namespace first, what denies before what runs, and the migration before what serves', () => {
    const kinds = objectsOf(small).map(({ kind }) => kind);
    expect(kinds[0]).toBe('Namespace');
    expect(kinds.lastIndexOf('NetworkPolicy')).toBeLessThan(kinds.indexOf('StatefulSet'));
    expect(kinds.lastIndexOf('StatefulSet')).toBeLessThan(kinds.indexOf('Job'));
    expect(kinds.indexOf('Job')).toBeLessThan(kinds.indexOf('Deployment'));
    const names = renderManifests(small).map(({ name }) => name);
    expect(names).toEqual(names.toSorted());
  });

  test('names the migration after its release and its content', () => {
    const jobName = (config: DeploymentConfig) => objectsOf(config).find(({ kind }) => kind === 'Job')?.metadata.name;
    expect(jobName(small)).toMatch(/^migrate-0-1-0-[0-9a-f]{10}$/);
    expect(jobName(variant({ images: { ...small.images, app: 'novax/app:0.1.1' } }))).not.toBe(jobName(small));
    expect(jobName(variant({ api: { ...small.api, replicas: 3 } }))).toBe(jobName(small));
  });

  test('restarts a data service when its configuration changes, and not when the release does', () => {
    const template = (config: DeploymentConfig) =>
      JSON.stringify(
        objectsOf(config).find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'nats'),
      );
    const pod = (text: string) => text.slice(text.indexOf('"template"'));
    expect(pod(template(variant({ release: '0.2.0' })))).toBe(pod(template(small)));
    const larger = variant({ data: { ...small.data, nats: { ...small.data.nats, storage: '20Gi' } } });
    expect(/config-hash":"(\w+)"/.exec(template(larger))?.[1]).not.toBe(
      /config-hash":"(\w+)"/.exec(template(small))?.[1],
    );
  });

  test('sizes the servers by their limits', () => {
    const file = (name: string, key: string) => {
      // ConfigMap data is text by definition.
      const data = objectsOf(small).find(({ metadata, kind }) => kind === 'ConfigMap' && metadata.name === name)?.[
        'data'
      ] as Record<string, string>;
      return data[key];
    };
    expect(file('postgres-config', 'postgresql.conf')).toContain('shared_buffers = 2048MB');
    expect(file('valkey-queue-config', 'valkey.conf')).toContain(
      'maxmemory 307mb\nmaxmemory-policy noeviction\nappendonly yes',
    );
    expect(file('valkey-cache-config', 'valkey.conf')).toContain('maxmemory 384mb\nmaxmemory-policy allkeys-lru');
    expect(file('nats-config', 'nats.conf')).toContain('max_file_store: 9216MB');
    const { spec } =
      viewRendering(objectsOf(small), small).pods.find(({ owner }) => owner.metadata.name === 'nats') ?? {};
    const memory = spec?.containers?.[0]?.resources?.limits?.['memory'];
    expect(memory).toBe('512Mi');
    expect(spec?.containers?.[0]?.env).toContainEqual({ name: 'GOMEMLIMIT', value: '384MiB' });
  });

  test('tells the workers how queues run as they read it themselves, and the page’s token as a file', () => {
    const config = VARIANTS.find(([name]) => name === 'with queues of its own')?.[1] ?? small;
    const [plain, own] = [small, config].map((it) => {
      const { spec } =
        viewRendering(objectsOf(it), it).pods.find(({ owner }) => owner.metadata.name === 'workers') ?? {};
      return new Map(spec?.containers?.[0]?.env?.map(({ name, value }) => [name, value]));
    });
    const names = ['QUEUE_LIMITS', 'JOB_LOCK_MS', 'OPERATOR_TOKEN_FILE'];
    expect(names.map((name) => plain?.get(name))).toEqual([undefined, undefined, undefined]);
    expect(queueLimitsSchema.parse(own?.get('QUEUE_LIMITS'))).toEqual({
      embedding: { concurrency: 2, max: 60, perMs: 60_000 },
    });
    expect([own?.get('JOB_LOCK_MS'), own?.get('OPERATOR_TOKEN_FILE')]).toEqual([
      '60000',
      '/run/secrets/novax/OPERATOR_TOKEN',
    ]);
    expect(own?.has('OPERATOR_TOKEN')).toBe(false);
  });

  test('requires exactly the Secret keys that some object mounts', () => {
    for (const [, config] of VARIANTS) {
      const text = JSON.stringify(objectsOf(config));
      const unused = requiredSecrets(config).filter(
        ({ key }) => !key.startsWith('tls.') && !text.includes(`"key":"${key}"`),
      );
      expect(unused).toEqual([]);
    }
    expect(new Set(SECRET_KEYS.map(({ key }) => key)).size).toBe(SECRET_KEYS.length);
  });
});

describe('the configuration', () => {
  test('reports all problems together, each with its path', () => {
    const broken = changed({
      release: 'Release One',
      images: { ...small.images, app: 'novax/app:latest' },
      storageClass: { name: 'standard', encryptedAtRest: false },
      api: {
        replicas: 1,
        resources: { ...small.api.resources, requests: { ...small.api.resources.requests, memory: '9Gi' } },
      },
      surprise: true,
    });
    const problems = problemsOf(broken);
    for (const path of [
      'release:',
      'images.app:',
      'storageClass.encryptedAtRest:',
      'api.replicas:',
      'api.resources.requests.memory:',
    ]) {
      expect(
        problems.some((problem) => problem.startsWith(path)),
        `${path} in ${problems.join(' | ')}`,
      ).toBe(true);
    }
    expect(problems.join()).toContain('surprise');
  });

  test.each([
    ['an image without a version', { images: { ...small.images, nats: 'nats' } }, 'images.nats'],
    ['Meilisearch without an image', { images: { ...small.images, meilisearch: undefined } }, 'images.meilisearch'],
    ['a schedule that is none', { partitions: { schedule: 'daily', deadlineSeconds: 900 } }, 'partitions.schedule'],
    ['a namespace that DNS refuses', { namespace: 'Novax_1' }, 'namespace'],
    ['a profile that cannot be rendered', { profile: 'ha' }, 'profile: must be one of: small'],
    [
      'limits of a queue that is none',
      { workers: { ...small.workers, queueLimits: { mail: {} } } },
      'workers.queueLimits',
    ],
    ['nothing where a section belongs', { data: undefined }, 'data'],
  ])('refuses %s', (_name, changes, path) => {
    expect(problemsOf(changed(changes)).some((problem) => problem.startsWith(path))).toBe(true);
  });

  test.each([[undefined], [null], ['text'], [[]]])('refuses a file that holds %j', (value) => {
    expect(problemsOf(value)[0]).toContain('(whole file)');
  });
});

describe('loading', () => {
  test('answers an unknown profile with the profiles that exist, as a usage error', async () => {
    await expect(loadDeploymentConfig({ profile: 'cnpg' })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('"cnpg"'),
      hint: expect.stringContaining('small'),
    });
  });

  test('names the file and every problem of a configuration that is wrong, absent or no YAML', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'novax-manifests-'));
    try {
      const wrong = join(folder, 'wrong.yaml');
      await writeFile(wrong, 'profile: small\nrelease: 1\n');
      await expect(loadDeploymentConfig({ config: wrong })).rejects.toMatchObject({
        exitCode: 1,
        message: expect.stringMatching(/wrong\.yaml.*release: [^]*images: /s),
      });
      await expect(loadDeploymentConfig({ config: join(folder, 'absent.yaml') })).rejects.toMatchObject({
        exitCode: 1,
        message: expect.stringContaining('absent.yaml'),
      });
      await writeFile(wrong, 'profile: [small\n');
      await expect(loadDeploymentConfig({ config: wrong })).rejects.toMatchObject({
        exitCode: 1,
        message: expect.stringContaining('cannot read'),
      });
      expect(await readdir(folder)).toEqual(['wrong.yaml']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('the README names every Secret key and every rendered file', async () => {
    const readme = await readFile(new URL('../../infra/cdk8s/README.md', import.meta.url), 'utf8');
    const missing = [...SECRET_KEYS.map(({ key }) => key), ...renderManifests(small).map(({ name }) => name)].filter(
      (word) => !readme.includes(`\`${word}\``),
    );
    expect(missing).toEqual([]);
  });
});

function problemsOf(value: unknown): readonly string[] {
  try {
    parseConfig(value);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
