/** Who may speak to whom: the whole allowed traffic as data; everything else is denied. */
import { portOfUrl } from './config.ts';
import type { DeploymentConfig } from './config.ts';
import { PORTS } from './names.ts';
import type { Workload } from './names.ts';

/** Somebody outside the rendered workloads. */
export type Outsider =
  | { kind: 'namespace'; name: string }
  | { kind: 'dns' }
  | { kind: 'cidrs'; name: string; cidrs: readonly string[] };

export interface Edge {
  from: Workload | Outsider;
  to: Workload | Outsider;
  port: number;
  protocol: 'TCP' | 'UDP';
}

/** The allowed edges of a configuration. Every edge that leaves a workload by name also needs DNS, which is added here. */
export function edgesOf(config: DeploymentConfig): Edge[] {
  const tcp = (from: Edge['from'], to: Edge['to'], port: number): Edge => ({ from, to, port, protocol: 'TCP' });
  const storage: Outsider = { kind: 'cidrs', name: 'object-storage', cidrs: config.objectStorage.cidrs };
  const storagePort = portOfUrl(config.objectStorage.endpoint);
  const edges: Edge[] = [
    tcp({ kind: 'namespace', name: config.ingress.controllerNamespace }, 'api', PORTS.api),
    tcp('api', 'postgres', PORTS.postgres),
    tcp('api', 'valkey-queue', PORTS.valkey),
    tcp('api', 'valkey-cache', PORTS.valkey),
    tcp('api', 'nats', PORTS.nats),
    tcp('api', storage, storagePort),
    tcp('workers', 'postgres', PORTS.postgres),
    tcp('workers', 'valkey-queue', PORTS.valkey),
    tcp('workers', 'valkey-cache', PORTS.valkey),
    tcp('workers', 'nats', PORTS.nats),
    tcp('workers', storage, storagePort),
    tcp('migrate', 'postgres', PORTS.postgres),
    tcp('partitions', 'postgres', PORTS.postgres),
    tcp('backup', 'postgres', PORTS.postgres),
  ];
  if (config.data.meilisearch !== undefined) {
    edges.push(tcp('api', 'meilisearch', PORTS.meilisearch), tcp('workers', 'meilisearch', PORTS.meilisearch));
  }
  if (config.monitoringNamespace !== undefined) {
    const monitoring: Outsider = { kind: 'namespace', name: config.monitoringNamespace };
    edges.push(tcp(monitoring, 'api', PORTS.apiMetrics), tcp(monitoring, 'workers', PORTS.workersMetrics));
  }
  if (config.embedding.provider === 'openai') {
    const models: Outsider = { kind: 'cidrs', name: 'embedding-service', cidrs: config.embedding.cidrs };
    edges.push(tcp('api', models, config.embedding.port), tcp('workers', models, config.embedding.port));
  }
  if (config.mail !== undefined) {
    edges.push(tcp('workers', { kind: 'cidrs', name: 'mail-server', cidrs: config.mail.cidrs }, config.mail.port));
  }
  if (config.backup.driver === 's3') {
    edges.push(
      tcp(
        'backup',
        { kind: 'cidrs', name: 'backup-storage', cidrs: config.backup.cidrs },
        portOfUrl(config.backup.endpoint),
      ),
    );
  }
  for (const client of ['api', 'workers', 'migrate', 'partitions', 'backup'] as const) {
    for (const protocol of ['UDP', 'TCP'] as const)
      edges.push({ from: client, to: { kind: 'dns' }, port: PORTS.dns, protocol });
  }
  return edges;
}
