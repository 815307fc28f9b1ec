/** The ops jobs: migration of a release, daily partitions, daily backup. */
import { KubeCronJob, KubeJob, KubePersistentVolumeClaim } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { JobSpec } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { App, Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { claimSpec } from '../constructs/claim.ts';
import { hashOf } from '../constructs/data-service.ts';
import { persistent, scratch, secretFiles } from '../constructs/mounts.ts';
import type { Mounted } from '../constructs/mounts.ts';
import { podTemplate } from '../constructs/pod.ts';
import type { SecretKeyName } from '../secrets.ts';
import { addChart } from './chart.ts';
import { secretVariables, variables } from './environment.ts';
import { APP_PATH } from './processes.ts';

const DAY_SECONDS = 86_400;
const BACKUP_PATH = '/backups';
const BACKUP_CLAIM = 'backups';

interface OpsJob {
  workload: 'migrate' | 'partitions' | 'backup';
  args: readonly string[];
  keys: readonly SecretKeyName[];
  values?: Readonly<Record<string, string>>;
  mounts?: readonly Mounted[];
  deadlineSeconds: number;
  retries: number;
}

/**
 * The migration of this release. A Job's template cannot be changed, so its name holds the release and a hash of its content: rendering the
 * same configuration gives the same name, and any change a new Job. Running it again changes nothing.
 */
export function migrationChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'migration');
  const spec = jobSpec(config, {
    workload: 'migrate',
    args: ['migrate', 'up'],
    keys: [
      'DATABASE_ADMIN_URL',
      'DATABASE_MIGRATOR_URL',
      'DATABASE_URL',
      'DATABASE_WORKER_URL',
      'DATABASE_AI_URL',
      'DATABASE_READONLY_URL',
      'DATABASE_BACKUP_URL',
    ],
    deadlineSeconds: 3600,
    // PostgreSQL may still be starting when everything is applied at once.
    retries: 6,
  });
  const name = `migrate-${config.release.replaceAll('.', '-')}-${hashOf(spec)}`;
  new KubeJob(chart, 'migrate', { metadata: { name }, spec });
  return chart;
}

/** The scheduled jobs, and the volume that backups go to where no backup bucket is configured. */
export function jobsChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'jobs');
  const { backup, partitions } = config;
  if (backup.driver === 'fs') {
    new KubePersistentVolumeClaim(chart, 'backups', {
      metadata: { name: BACKUP_CLAIM },
      spec: claimSpec(config, backup.storage),
    });
  }
  addSchedule(chart, partitions.schedule, {
    config,
    job: {
      workload: 'partitions',
      args: ['partitions', 'ensure'],
      keys: ['DATABASE_MIGRATOR_URL', 'DATABASE_WORKER_URL'],
      deadlineSeconds: partitions.deadlineSeconds,
      retries: 3,
    },
  });
  addSchedule(chart, backup.schedule, { config, job: backupJob(config) });
  return chart;
}

function backupJob({ backup }: DeploymentConfig): OpsJob {
  const job = {
    workload: 'backup',
    args: ['backup', 'create'],
    deadlineSeconds: backup.deadlineSeconds,
    retries: 2,
  } as const;
  if (backup.driver === 'fs') {
    return {
      ...job,
      keys: ['DATABASE_BACKUP_URL', 'DATABASE_WORKER_URL'],
      values: { BACKUP_STORAGE_DRIVER: 'fs', BACKUP_STORAGE_DIR: BACKUP_PATH },
      mounts: [persistent('backups', BACKUP_PATH, BACKUP_CLAIM)],
    };
  }
  return {
    ...job,
    keys: ['DATABASE_BACKUP_URL', 'DATABASE_WORKER_URL', 'BACKUP_S3_ACCESS_KEY_ID', 'BACKUP_S3_SECRET_ACCESS_KEY'],
    values: {
      BACKUP_STORAGE_DRIVER: 's3',
      BACKUP_S3_ENDPOINT: backup.endpoint,
      BACKUP_S3_REGION: backup.region,
      BACKUP_S3_BUCKET: backup.bucket,
    },
  };
}

/** A run that is still going when the next is due wins; one that could not start within an hour of its time is skipped. */
function addSchedule(chart: Chart, schedule: string, { config, job }: { config: DeploymentConfig; job: OpsJob }): void {
  new KubeCronJob(chart, job.workload, {
    metadata: { name: job.workload },
    spec: {
      schedule,
      timeZone: 'Etc/UTC',
      concurrencyPolicy: 'Forbid',
      startingDeadlineSeconds: 3600,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 3,
      jobTemplate: { spec: jobSpec(config, job) },
    },
  });
}

function jobSpec(config: DeploymentConfig, job: OpsJob): JobSpec {
  return {
    backoffLimit: job.retries,
    activeDeadlineSeconds: job.deadlineSeconds,
    ttlSecondsAfterFinished: 3 * DAY_SECONDS,
    template: podTemplate({
      workload: job.workload,
      resources: config.jobs.resources,
      graceSeconds: 30,
      restartPolicy: 'Never',
      mounts: [secretFiles(job.keys), scratch('tmp', '/tmp', { size: '256Mi' }), ...(job.mounts ?? [])],
      container: {
        image: config.images.app,
        command: ['node', 'apps/ops/src/main.ts', ...job.args],
        workingDir: APP_PATH,
        env: [
          ...variables({ NODE_ENV: 'production', NOVAX_STACK: 'external', ...job.values }),
          ...secretVariables(job.keys),
        ],
      },
    }),
  };
}
