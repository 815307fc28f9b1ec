/** NATS with JetStream on one node. */
import type { DeploymentConfig } from '../config.ts';
import { CONFIG_PATH } from '../constructs/data-service.ts';
import type { DataService } from '../constructs/data-service.ts';
import { SECRETS_PATH, scratch, secretFiles } from '../constructs/mounts.ts';
import { httpCheck, probes } from '../constructs/probes.ts';
import { PORTS } from '../names.ts';
import { shareInMiB } from '../quantities.ts';

const PID_FILE = '/tmp/nats.pid';

/** JetStream may use 90 % of the volume; its memory store half of the limit. `include` resolves against the configuration's own folder. */
function serverSettings(config: DeploymentConfig): string {
  const { storage, resources } = config.data.nats;
  return `server_name: novax-0
listen: "0.0.0.0:${PORTS.nats}"
http: "0.0.0.0:${PORTS.natsMonitor}"
pid_file: "${PID_FILE}"
max_payload: 1MB
lame_duck_grace_period: "5s"
lame_duck_duration: "30s"
jetstream {
  store_dir: "/data"
  max_file_store: ${shareInMiB(storage, 0.9)}MB
  max_memory_store: ${shareInMiB(resources.limits.memory, 0.5)}MB
  sync_interval: "10s"
}
include "../..${SECRETS_PATH}/authorization.conf"
`;
}

/** The NATS service of a configuration. */
export function natsService(config: DeploymentConfig): DataService {
  const { storage, resources } = config.data.nats;
  return {
    workload: 'nats',
    resources,
    graceSeconds: 60,
    service: { name: 'nats', port: PORTS.nats },
    volume: { path: '/data', size: storage },
    files: { 'nats.conf': serverSettings(config) },
    mounts: [secretFiles(['authorization.conf']), scratch('tmp', '/tmp', { size: '1Mi', memory: true })],
    container: {
      image: config.images.nats,
      // Go collects garbage a quarter as often as it would by itself, within bounds of its own.
      env: [
        { name: 'GOGC', value: '400' },
        { name: 'GOMEMLIMIT', value: `${shareInMiB(resources.limits.memory, 0.75)}MiB` },
      ],
      command: ['nats-server', '--config', `${CONFIG_PATH}/nats.conf`],
      ports: [
        { name: 'nats', containerPort: PORTS.nats },
        { name: 'monitor', containerPort: PORTS.natsMonitor },
      ],
      // Lame-duck mode asks clients to move before connections are closed.
      lifecycle: { preStop: { exec: { command: ['nats-server', '--signal', `ldm=${PID_FILE}`] } } },
      ...probes({
        alive: httpCheck('/healthz?js-server-only=true', 'monitor'),
        ready: httpCheck('/healthz?js-enabled-only=true', 'monitor'),
        startSeconds: 300,
      }),
    },
  };
}
