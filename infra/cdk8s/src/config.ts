/** What a deployment may choose: one schema, every problem reported together with its path. */
import { queueNames } from '@novax/contracts/jobs';
import { z } from 'zod';
import { PROFILES } from './profiles.ts';
import { bytesOf, milliCpuOf } from './quantities.ts';

/** Every problem of a configuration, one `path: message` each; its message is meant for a person. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}:\n  ${problems.join('\n  ')}`,
    );
    this.problems = problems;
  }
}

const bytes = z.string().refine((text) => (bytesOf(text) ?? 0) > 0, 'must be an amount of bytes such as 512Mi or 8Gi');
const cpu = z.string().refine((text) => (milliCpuOf(text) ?? 0) > 0, 'must be an amount of CPU such as "500m" or "2"');
const dnsLabel = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a DNS label');
const hostname = z
  .string()
  .max(253)
  .regex(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}$/, 'must be a host name such as novax.example.com');
const port = z.number().int().min(1).max(65_535);
const cron = z.string().regex(/^(\S+\s+){4}\S+$/, 'must be a cron schedule of five fields');
const cidrs = z.array(z.cidrv4()).min(1);

const image = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._/:-]*(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})$/,
    'must be an image with a tag or a sha256 digest',
  )
  .refine((text) => !text.endsWith(':latest'), 'must name a version: "latest" changes under a running system');

const amounts = z.strictObject({ cpu, memory: bytes, ephemeralStorage: bytes });

const resources = z
  .strictObject({ requests: amounts, limits: amounts })
  .superRefine(({ requests, limits }, context) => {
    const over = [
      ['cpu', (milliCpuOf(requests.cpu) ?? 0) > (milliCpuOf(limits.cpu) ?? 0)],
      ['memory', (bytesOf(requests.memory) ?? 0) > (bytesOf(limits.memory) ?? 0)],
      ['ephemeralStorage', (bytesOf(requests.ephemeralStorage) ?? 0) > (bytesOf(limits.ephemeralStorage) ?? 0)],
    ] as const;
    for (const [name, isOver] of over) {
      if (isOver) context.addIssue({ code: 'custom', path: ['requests', name], message: 'is more than its limit' });
    }
  });

/** As `QUEUE_LIMITS` of the workers takes it. */
const queueLimit = z
  .strictObject({
    concurrency: z.number().int().min(1).max(100).optional(),
    max: z.number().int().min(1).optional(),
    perMs: z.number().int().min(1).optional(),
  })
  .refine(({ max, perMs }) => (max === undefined) === (perMs === undefined), 'max and perMs belong together');

const dataService = z.strictObject({ storage: bytes, resources });
const bucket = {
  endpoint: z.url({ protocol: /^https?$/ }),
  region: z.string().min(1),
  bucket: z.string().min(3).max(63),
  cidrs,
};
const schedule = { schedule: cron, deadlineSeconds: z.number().int().min(60).max(86_400) };

const schema = z
  .strictObject({
    profile: z.enum(PROFILES, `must be one of: ${PROFILES.join(', ')}`),
    /** Version of the application; part of every object's labels and of the migration Job's name. */
    release: z
      .string()
      .max(40)
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be lower-case letters, digits, "." and "-"'),
    namespace: dnsLabel,
    /** Version that the Pod Security Standard is pinned to. */
    podSecurityVersion: z.string().regex(/^v1\.\d+$/, 'must be a Kubernetes version such as v1.33'),
    images: z.strictObject({ app: image, postgres: image, valkey: image, nats: image, meilisearch: image.optional() }),
    ingress: z.strictObject({
      className: dnsLabel,
      host: hostname,
      tlsSecret: dnsLabel,
      controllerNamespace: dnsLabel,
    }),
    /** Namespace whose pods may scrape metrics; without it nobody may. */
    monitoringNamespace: dnsLabel.optional(),
    storageClass: z.strictObject({
      name: dnsLabel,
      /** Encryption of volumes is below Kubernetes' sight, so the operator states it. */
      encryptedAtRest: z.literal(
        true,
        'must be true: choose a storage class whose volumes are encrypted, and say so here',
      ),
    }),
    objectStorage: z.strictObject(bucket),
    backup: z.discriminatedUnion('driver', [
      z.strictObject({ driver: z.literal('fs'), storage: bytes, ...schedule }),
      z.strictObject({ driver: z.literal('s3'), ...bucket, ...schedule }),
    ]),
    partitions: z.strictObject(schedule),
    embedding: z.discriminatedUnion('provider', [
      z.strictObject({ provider: z.literal('local') }),
      z.strictObject({
        provider: z.literal('openai'),
        baseUrl: z.url({ protocol: /^https?$/ }),
        model: z.string().min(1),
        cidrs,
        port,
      }),
    ]),
    /** Without it mails wait in the database. The server's address is the key SMTP_URL of a Secret. */
    mail: z
      .strictObject({
        from: z.string().min(3),
        /** The web app that links in mails lead to; the API's own address when absent. */
        appUrl: z.url({ protocol: /^https?$/ }).optional(),
        cidrs,
        port,
      })
      .optional(),
    api: z.strictObject({ replicas: z.number().int().min(2).max(50), resources }),
    workers: z.strictObject({
      replicas: z.number().int().min(1).max(50),
      resources,
      /** How queues run where it differs from the product's own settings. */
      queueLimits: z.partialRecord(z.enum(queueNames), queueLimit).optional(),
      /** Milliseconds after which a job is taken from a worker that gives no sign of life; 30 000 when absent. */
      jobLockMs: z.number().int().min(500).optional(),
      /** Serves the queues' page on the metrics port to who sends the key OPERATOR_TOKEN of a Secret. */
      queuePage: z.boolean().default(false),
    }),
    jobs: z.strictObject({ resources }),
    data: z.strictObject({
      postgres: dataService,
      valkeyQueue: dataService,
      valkeyCache: z.strictObject({ resources }),
      nats: dataService,
      meilisearch: dataService.optional(),
    }),
  })
  .superRefine((config, context) => {
    if (config.data.meilisearch !== undefined && config.images.meilisearch === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['images', 'meilisearch'],
        message: 'is needed because data.meilisearch is set',
      });
    }
    if (config.backup.driver === 's3' && config.backup.bucket === config.objectStorage.bucket) {
      context.addIssue({
        code: 'custom',
        path: ['backup', 'bucket'],
        message: 'must not be the bucket of objectStorage',
      });
    }
    const natsMemory = bytesOf(config.data.nats.resources.limits.memory) ?? 0;
    if (natsMemory > 0 && natsMemory < 2 ** 27) {
      context.addIssue({
        code: 'custom',
        path: ['data', 'nats', 'resources', 'limits', 'memory'],
        message: 'must be at least 128Mi',
      });
    }
  });

export type DeploymentConfig = Readonly<z.output<typeof schema>>;
export type Resources = z.output<typeof resources>;

/** Reads a parsed configuration file. Unknown fields are problems. Throws `ConfigError` naming every problem and its path. */
export function parseConfig(value: unknown): DeploymentConfig {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map((issue) => `${issue.path.join('.') || '(whole file)'}: ${issue.message}`),
  );
}

/** TCP port that a URL speaks to, by its scheme when it names none. */
export function portOfUrl(url: string): number {
  const { port: explicit, protocol } = new URL(url);
  if (explicit !== '') return Number(explicit);
  return protocol === 'http:' ? 80 : 443;
}
