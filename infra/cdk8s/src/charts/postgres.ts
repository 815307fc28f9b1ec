/** PostgreSQL with pgvector and TimescaleDB: one primary whose cluster is made on the first start. */
import type { DeploymentConfig } from '../config.ts';
import { CONFIG_PATH } from '../constructs/data-service.ts';
import type { DataService } from '../constructs/data-service.ts';
import { SECRETS_PATH, scratch, secretFiles } from '../constructs/mounts.ts';
import { execCheck, probes } from '../constructs/probes.ts';
import { PORTS, RUN_AS } from '../names.ts';
import { shareInMiB } from '../quantities.ts';

const DATA = '/var/lib/postgresql/data';
const SOCKETS = '/run/postgresql';

// initdb works in a neighbouring folder that is renamed when the database exists: a start that was killed half-way is begun again.
const START = `#!/bin/sh
set -eu
PATH="/usr/lib/postgresql/17/bin:$PATH"
cluster=${DATA}/cluster
if [ ! -s "$cluster/PG_VERSION" ]; then
  rm -rf "$cluster.new"
  initdb --pgdata="$cluster.new" --username=novax_admin --pwfile=${SECRETS_PATH}/admin-password \\
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  echo 'CREATE DATABASE novax' | postgres --single -D "$cluster.new" postgres
  mv "$cluster.new" "$cluster"
fi
exec postgres -D "$cluster" -c config_file=${CONFIG_PATH}/postgresql.conf -c hba_file=${CONFIG_PATH}/pg_hba.conf
`;

// SIGTERM lets PostgreSQL wait for every client; a fast stop rolls their transactions back and writes a checkpoint.
const STOP = `#!/bin/sh
PATH="/usr/lib/postgresql/17/bin:$PATH"
exec pg_ctl stop --pgdata=${DATA}/cluster --mode=fast --wait --timeout=100
`;

const HBA = `# Passwords everywhere, the local socket included; network policies say who reaches the port at all.
local all all scram-sha-256
host all all all scram-sha-256
`;

/** Memory follows the limit: a quarter for shared buffers, the rest left to the page cache and to sorts. */
function serverSettings(memory: string): string {
  return `listen_addresses = '*'
port = ${PORTS.postgres}
unix_socket_directories = '${SOCKETS}'
shared_preload_libraries = 'timescaledb,pg_stat_statements'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 4
# A statement that sets a password would otherwise be kept in the statistics.
pg_stat_statements.track_utility = off
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = ${shareInMiB(memory, 0.25)}MB
effective_cache_size = ${shareInMiB(memory, 0.6)}MB
maintenance_work_mem = ${shareInMiB(memory, 0.06)}MB
work_mem = 8MB
max_locks_per_transaction = 256
wal_compression = on
random_page_cost = 1.1
jit = off
max_worker_processes = 16
# pgvector before 0.8.4 can build a broken HNSW index with parallel workers.
max_parallel_maintenance_workers = 0
max_wal_size = 4GB
log_destination = 'stderr'
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
`;
}

/** The PostgreSQL service of a configuration. */
export function postgresService(config: DeploymentConfig): DataService {
  const { storage, resources } = config.data.postgres;
  const isReady = (...extra: string[]) =>
    execCheck('pg_isready', '--host', SOCKETS, '--username', 'novax_admin', ...extra);
  return {
    workload: 'postgres',
    resources,
    graceSeconds: 120,
    service: { name: 'postgres', port: PORTS.postgres },
    volume: { path: DATA, size: storage },
    files: {
      'start.sh': START,
      'stop.sh': STOP,
      'pg_hba.conf': HBA,
      'postgresql.conf': serverSettings(resources.limits.memory),
      // initdb and libpq look their user up by number; the image need not know ours.
      'passwd': `postgres:x:${RUN_AS}:${RUN_AS}::/var/lib/postgresql:/bin/sh\n`,
    },
    mounts: [
      secretFiles(['admin-password']),
      { mount: { name: 'config', mountPath: '/etc/passwd', subPath: 'passwd', readOnly: true } },
      scratch('run', SOCKETS, { size: '1Mi', memory: true }),
      scratch('tmp', '/tmp', { size: '64Mi' }),
      // Parallel queries share memory here; the runtime's own 64 MiB end them with "no space left on device".
      scratch('shm', '/dev/shm', { size: '1Gi', memory: true }),
    ],
    container: {
      image: config.images.postgres,
      command: ['/bin/sh', `${CONFIG_PATH}/start.sh`],
      ports: [{ name: 'postgres', containerPort: PORTS.postgres }],
      lifecycle: { preStop: { exec: { command: ['/bin/sh', `${CONFIG_PATH}/stop.sh`] } } },
      ...probes({
        // A server that recovers or has no slot free answers "rejecting" (1): alive, not ready.
        alive: execCheck('/bin/sh', '-c', `pg_isready --host ${SOCKETS} --username novax_admin; test $? -le 1`),
        ready: isReady('--dbname', 'novax'),
        // Crash recovery of a full max_wal_size.
        startSeconds: 600,
      }),
    },
  };
}
