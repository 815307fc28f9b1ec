/** The two Valkey roles: queues that must lose nothing, and a cache that may lose everything. */
import type { DeploymentConfig } from '../config.ts';
import { CONFIG_PATH } from '../constructs/data-service.ts';
import type { DataService } from '../constructs/data-service.ts';
import { SECRETS_PATH, scratch, secretFiles } from '../constructs/mounts.ts';
import { execCheck, probes, tcpCheck } from '../constructs/probes.ts';
import { PORTS } from '../names.ts';
import type { SecretKeyName } from '../secrets.ts';
import { shareInMiB } from '../quantities.ts';

const COMMON = `port ${PORTS.valkey}
bind * -::*
protected-mode yes
tcp-keepalive 60
timeout 0
dir /data
`;

// The password reaches the server by a file of its own, never by an argument that a process list would show.
const startScript = (password: string) => `#!/bin/sh
set -eu
umask 077
{ cat ${CONFIG_PATH}/valkey.conf; printf 'requirepass "%s"\\n' "$(cat ${SECRETS_PATH}/${password})"; } > /tmp/valkey.conf
exec valkey-server /tmp/valkey.conf
`;

const readyScript = (password: string) => `#!/bin/sh
REDISCLI_AUTH="$(cat ${SECRETS_PATH}/${password})" valkey-cli -p ${PORTS.valkey} ping | grep -qx PONG
`;

interface Role {
  workload: 'valkey-queue' | 'valkey-cache';
  password: SecretKeyName;
  settings: string;
  size: Pick<DataService, 'resources' | 'volume'>;
}

function valkeyService(config: DeploymentConfig, role: Role): DataService {
  return {
    workload: role.workload,
    ...role.size,
    graceSeconds: 60,
    service: { name: 'valkey', port: PORTS.valkey },
    files: {
      'valkey.conf': COMMON + role.settings,
      'start.sh': startScript(role.password),
      'ready.sh': readyScript(role.password),
    },
    mounts: [
      secretFiles([role.password]),
      scratch('tmp', '/tmp', { size: '1Mi', memory: true }),
      ...(role.size.volume === undefined ? [scratch('data', '/data', { size: '16Mi' })] : []),
    ],
    container: {
      image: config.images.valkey,
      command: ['/bin/sh', `${CONFIG_PATH}/start.sh`],
      ports: [{ name: 'valkey', containerPort: PORTS.valkey }],
      ...probes({
        alive: tcpCheck('valkey'),
        ready: execCheck('/bin/sh', `${CONFIG_PATH}/ready.sh`),
        startSeconds: 120,
      }),
    },
  };
}

/** Queues, sessions and rate limits: nothing is evicted, every write is in the append-only file within a second. */
export function valkeyQueueService(config: DeploymentConfig): DataService {
  const { resources, storage } = config.data.valkeyQueue;
  return valkeyService(config, {
    workload: 'valkey-queue',
    password: 'queue-password',
    size: { resources, volume: { path: '/data', size: storage } },
    // Rewriting the append-only file copies pages that change meanwhile, so the data may take 60 % of the limit only.
    settings: `maxmemory ${shareInMiB(resources.limits.memory, 0.6)}mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
`,
  });
}

/** Cache: the least recently used entry goes first; nothing is written to disk. */
export function valkeyCacheService(config: DeploymentConfig): DataService {
  const { resources } = config.data.valkeyCache;
  return valkeyService(config, {
    workload: 'valkey-cache',
    password: 'cache-password',
    size: { resources },
    settings: `maxmemory ${shareInMiB(resources.limits.memory, 0.75)}mb
maxmemory-policy allkeys-lru
appendonly no
save ""
`,
  });
}
