/** Meilisearch: optional, always a single instance, rebuilt from PostgreSQL when it is lost. */
import type { DeploymentConfig } from '../config.ts';
import { CONFIG_PATH } from '../constructs/data-service.ts';
import type { DataService } from '../constructs/data-service.ts';
import { SECRETS_PATH, scratch, secretFiles } from '../constructs/mounts.ts';
import { httpCheck, probes, tcpCheck } from '../constructs/probes.ts';
import { PORTS } from '../names.ts';
import { shareInMiB } from '../quantities.ts';

// The server reads its key from the environment or its arguments only, and arguments show in a process list.
const START = `#!/bin/sh
set -eu
MEILI_MASTER_KEY="$(cat ${SECRETS_PATH}/MEILI_MASTER_KEY)"
export MEILI_MASTER_KEY
exec meilisearch
`;

/** The Meilisearch service, or undefined where the configuration leaves it out. */
export function meilisearchService(config: DeploymentConfig): DataService | undefined {
  const { meilisearch: image } = config.images;
  const service = config.data.meilisearch;
  if (service === undefined || image === undefined) return undefined;
  return {
    workload: 'meilisearch',
    resources: service.resources,
    graceSeconds: 60,
    service: { name: 'http', port: PORTS.meilisearch },
    volume: { path: '/data', size: service.storage },
    files: { 'start.sh': START },
    mounts: [secretFiles(['MEILI_MASTER_KEY']), scratch('tmp', '/tmp', { size: '256Mi' })],
    container: {
      image,
      command: ['/bin/sh', `${CONFIG_PATH}/start.sh`],
      workingDir: '/data',
      env: [
        { name: 'MEILI_ENV', value: 'production' },
        { name: 'MEILI_HTTP_ADDR', value: `0.0.0.0:${PORTS.meilisearch}` },
        { name: 'MEILI_DB_PATH', value: '/data/meili' },
        { name: 'MEILI_DUMP_DIR', value: '/data/dumps' },
        { name: 'MEILI_SNAPSHOT_DIR', value: '/data/snapshots' },
        { name: 'MEILI_NO_ANALYTICS', value: 'true' },
        { name: 'MEILI_MAX_INDEXING_MEMORY', value: `${shareInMiB(service.resources.limits.memory, 0.5)}MiB` },
      ],
      ports: [{ name: 'http', containerPort: PORTS.meilisearch }],
      ...probes({ alive: tcpCheck('http'), ready: httpCheck('/health', 'http'), startSeconds: 300 }),
    },
  };
}
