/** The API: Deployment, Service, disruption budget and the Ingress that ends TLS. */
import { IntOrString, KubeIngress, KubeService } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { App, Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { httpCheck, probes } from '../constructs/probes.ts';
import { PORTS, selectorOf } from '../names.ts';
import type { SecretKeyName } from '../secrets.ts';
import { addChart } from './chart.ts';
import { optionalKeys, secretVariables, sharedVariables, variables } from './environment.ts';
import { APP_PATH, DRAIN_SECONDS, addProcess } from './processes.ts';

/** Everything between the edge and the API's pods. */
export function appChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'app');
  const keys: SecretKeyName[] = [
    'DATABASE_URL',
    'QUEUE_REDIS_URL',
    'CACHE_REDIS_URL',
    'NATS_URL',
    'JWT_PRIVATE_KEYS',
    'KEY_ENCRYPTION_KEY',
    'AUDIT_SIGNING_KEY',
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    ...optionalKeys(config),
  ];
  addProcess(chart, {
    workload: 'api',
    replicas: config.api.replicas,
    keys,
    pod: {
      resources: config.api.resources,
      graceSeconds: 45,
      container: {
        image: config.images.app,
        command: ['node', 'apps/api/src/main.ts'],
        workingDir: APP_PATH,
        env: [
          ...variables({
            HOST: '0.0.0.0',
            PORT: String(PORTS.api),
            METRICS_PORT: String(PORTS.apiMetrics),
            TRUST_PROXY: '1',
          }),
          ...sharedVariables(config),
          ...secretVariables(keys),
        ],
        ports: [
          { name: 'http', containerPort: PORTS.api },
          { name: 'metrics', containerPort: PORTS.apiMetrics },
        ],
        // Then the process serves for SHUTDOWN_DELAY_MS more: callers who kept their connections are told to leave them.
        lifecycle: { preStop: { sleep: { seconds: DRAIN_SECONDS } } },
        ...probes({ alive: httpCheck('/healthz', 'http'), ready: httpCheck('/readyz', 'http'), startSeconds: 120 }),
      },
    },
  });
  new KubeService(chart, 'api-service', {
    metadata: { name: 'api' },
    spec: {
      type: 'ClusterIP',
      selector: selectorOf('api'),
      ports: [{ name: 'http', port: PORTS.api, targetPort: IntOrString.fromString('http') }],
    },
  });
  addIngress(chart, config);
  return chart;
}

function addIngress(chart: Chart, config: DeploymentConfig): void {
  const { host, className, tlsSecret } = config.ingress;
  new KubeIngress(chart, 'api-ingress', {
    metadata: { name: 'api' },
    spec: {
      ingressClassName: className,
      tls: [{ hosts: [host], secretName: tlsSecret }],
      rules: [
        {
          host,
          http: {
            paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'api', port: { name: 'http' } } } }],
          },
        },
      ],
    },
  });
}
