/** The one interface behind which the servers of a local stack are found, prepared and run. */
import type { ProcessSpec, Step } from '../supervisor/process-spec.ts';

export type StackName = 'external' | 'docker' | 'native';

/** Servers a stack may hold; only the first four are in every stack. */
export type ServiceName = 'postgres' | 'valkey-queue' | 'valkey-cache' | 'nats' | 'meilisearch' | 's3' | 'pgbouncer';

/**
 * What a process needs to reach the stack: environment variables under their public names, secrets included.
 * `DATABASE_ADMIN_URL` is the cluster's superuser, for bootstrap only, and is never handed to the API or the workers.
 */
export interface StackEndpoints {
  DATABASE_URL: string;
  DATABASE_WORKER_URL: string;
  DATABASE_AI_URL: string;
  DATABASE_MIGRATOR_URL: string;
  DATABASE_READONLY_URL?: string;
  DATABASE_BACKUP_URL?: string;
  DATABASE_ADMIN_URL?: string;
  QUEUE_REDIS_URL: string;
  CACHE_REDIS_URL: string;
  /** May carry `user:password@`; the client library wants them apart. */
  NATS_URL: string;
  /** HTTP monitor of the NATS server, where it is reachable. */
  NATS_MONITOR_URL?: string;
  MEILI_URL?: string;
  MEILI_MASTER_KEY?: string;
  STORAGE_DRIVER: 'fs' | 's3';
  STORAGE_DIR?: string;
  S3_ENDPOINT?: string;
  S3_REGION?: string;
  S3_BUCKET?: string;
  S3_ACCESS_KEY_ID?: string;
  S3_SECRET_ACCESS_KEY?: string;
  /** JWKS JSON of Ed25519 private keys; the first signs. */
  JWT_PRIVATE_KEYS: string;
  /** 32 bytes, base64. */
  KEY_ENCRYPTION_KEY: string;
  /** 32 bytes, base64. */
  AUDIT_SIGNING_KEY: string;
}

/** One server as `novax status` shows it. `url` never holds a password. */
export interface ServiceStatus {
  name: string;
  kind: 'server' | 'app';
  /** What it is for, in two or three words: "database", "queues and sessions". */
  role: string;
  url: string | null;
  /** Process id on this host; null for a container or a server somewhere else. */
  pid: number | null;
  logFile: string | null;
  state: 'starting' | 'ready' | 'restarting' | 'failed' | 'stopping' | 'stopped' | 'unknown';
  restarts: number;
  /** ISO 8601, or null when it is not running. */
  startedAt: string | null;
}

/** Receives what a person should see while something slow happens. Implementations never throw. */
export interface StackLog {
  /** A finished fact worth a line of its own: "port 55432 is in use, PostgreSQL takes 55433". */
  line(text: string): void;
  /** Where a long piece of work stands; `fraction` (0–1) is absent when the end is not known. */
  progress(label: string, fraction?: number): void;
}

/** What every driver is given. */
export interface StackContext {
  /** The checkout: migrations, images and the compose file are found from here. */
  checkout: string;
  /** Folder of this stack's state: `<checkout>/.novax`, or another for a second stack. */
  dir: string;
  /** Environment of the command, read once at its entry. */
  env: Readonly<Record<string, string | undefined>>;
  /** false turns off fsync and its like, for stacks that tests throw away. */
  durable: boolean;
  /** Only these servers; absent means all that the driver offers. */
  only?: readonly ServiceName[];
  log: StackLog;
  signal: AbortSignal;
}

/** Whether a driver can serve here; `reason` is one line for people, `command` the one command that would help. */
export type Detection = { possible: true; reason: string } | { possible: false; reason: string; command?: string };

/** A stack that is ready to be started. */
export interface PlannedStack {
  endpoints: StackEndpoints;
  /** Servers the supervisor runs and restarts itself, in start order. Empty where something else runs them. */
  processes: readonly ProcessSpec[];
  /** Other work, in order, after `processes` are ready and before migrations: the docker driver's `compose up --wait`. */
  steps: readonly Step[];
  /** States of servers that something else runs (containers, external); [] when `processes` holds them all. */
  services(): Promise<ServiceStatus[]>;
  /** Stops what `steps` started. Called after `processes` were stopped; safe to call when nothing runs. */
  stop(): Promise<void>;
}

export interface StackDriver {
  readonly name: StackName;
  /** Cheap (< 1 s) and without side effects. */
  detect(context: StackContext): Promise<Detection>;
  /** Makes what must exist once: packages, images, a root file system. Idempotent; under 50 ms when it is already there. */
  prepare(context: StackContext): Promise<void>;
  /** Chooses ports and secrets (kept in `<dir>/config.json`, mode 600) and describes the servers; starts nothing. */
  plan(context: StackContext): Promise<PlannedStack>;
  /** Deletes the data of a stopped stack; with `all` also what `prepare` made. Answers what it deleted, for people. */
  reset(context: StackContext, options: { all: boolean }): Promise<string[]>;
}
