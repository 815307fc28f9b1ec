/** The workers: outbox relay, event consumers, jobs and schedules in one image. */
import type { App, Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { httpCheck, probes } from '../constructs/probes.ts';
import { PORTS } from '../names.ts';
import type { SecretKeyName } from '../secrets.ts';
import { addChart } from './chart.ts';
import {
  jobVariables,
  mailVariables,
  optionalKeys,
  secretVariables,
  sharedVariables,
  variables,
} from './environment.ts';
import { APP_PATH, addProcess } from './processes.ts';

/** The workers' Deployment; it serves health and metrics only, so it has no Service. */
export function workersChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'workers');
  const keys: SecretKeyName[] = [
    'DATABASE_WORKER_URL',
    'DATABASE_AI_URL',
    'QUEUE_REDIS_URL',
    'CACHE_REDIS_URL',
    'NATS_URL',
    'KEY_ENCRYPTION_KEY',
    'AUDIT_SIGNING_KEY',
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    ...optionalKeys(config),
    ...(config.mail === undefined ? [] : (['SMTP_URL'] as const)),
    ...(config.workers.queuePage ? (['OPERATOR_TOKEN'] as const) : []),
  ];
  addProcess(chart, {
    workload: 'workers',
    replicas: config.workers.replicas,
    keys,
    pod: {
      resources: config.workers.resources,
      // Jobs in hand have half of SHUTDOWN_DEADLINE_MS; what is still running then is handed back to its queue.
      graceSeconds: 75,
      container: {
        image: config.images.app,
        command: ['node', 'apps/workers/src/main.ts'],
        workingDir: APP_PATH,
        env: [
          ...variables({
            HOST: '0.0.0.0',
            METRICS_PORT: String(PORTS.workersMetrics),
            SHUTDOWN_DEADLINE_MS: '70000',
          }),
          ...sharedVariables(config),
          ...mailVariables(config),
          ...jobVariables(config),
          ...secretVariables(keys),
        ],
        ports: [{ name: 'metrics', containerPort: PORTS.workersMetrics }],
        ...probes({
          alive: httpCheck('/healthz', 'metrics'),
          ready: httpCheck('/readyz', 'metrics'),
          startSeconds: 180,
        }),
      },
    },
  });
  return chart;
}
