/** A data service: one stateful pod, its name in DNS, its volume and its configuration files. */
import { createHash } from 'node:crypto';
import { IntOrString, KubeConfigMap, KubeService, KubeStatefulSet } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { selectorOf } from '../names.ts';
import { claimSpec } from './claim.ts';
import { claimed, configFiles } from './mounts.ts';
import { podTemplate } from './pod.ts';
import type { PodParts } from './pod.ts';

/** Where the configuration files of a data service appear. */
export const CONFIG_PATH = '/etc/novax';

export interface DataService extends Omit<PodParts, 'restartPolicy' | 'annotations'> {
  /** Files under `CONFIG_PATH`; a change restarts the pod. */
  files: Readonly<Record<string, string>>;
  /** Port that clients use; its name is `name` in the container's ports. */
  service: { name: string; port: number };
  /** Absent for a service that keeps nothing. */
  volume?: { path: string; size: string };
}

/**
 * Adds ConfigMap, headless Service and StatefulSet of one replica. The volume outlives the StatefulSet. There is no disruption budget:
 * for a single replica it could only block a node's drain for ever.
 */
export function addDataService(chart: Chart, config: DeploymentConfig, service: DataService): void {
  const { workload } = service;
  const configMap = `${workload}-config`;
  new KubeConfigMap(chart, `${workload}-config`, {
    metadata: { name: configMap },
    data: { ...service.files },
    immutable: false,
  });
  new KubeService(chart, `${workload}-service`, {
    metadata: { name: workload },
    spec: {
      clusterIp: 'None',
      selector: selectorOf(workload),
      ports: [
        {
          name: service.service.name,
          port: service.service.port,
          targetPort: IntOrString.fromString(service.service.name),
        },
      ],
    },
  });
  const volume = service.volume;
  const template = podTemplate({
    ...service,
    restartPolicy: 'Always',
    mounts: [
      ...service.mounts,
      configFiles(configMap, CONFIG_PATH),
      ...(volume === undefined ? [] : [claimed('data', volume.path)]),
    ],
    annotations: { 'novax.io/config-hash': hashOf(service.files) },
  });
  new KubeStatefulSet(chart, `${workload}-stateful-set`, {
    metadata: { name: workload },
    spec: {
      serviceName: workload,
      replicas: 1,
      revisionHistoryLimit: 5,
      updateStrategy: { type: 'RollingUpdate' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: selectorOf(workload) },
      template,
      ...(volume === undefined
        ? {}
        : {
            volumeClaimTemplates: [
              { metadata: { name: 'data', labels: selectorOf(workload) }, spec: claimSpec(config, volume.size) },
            ],
          }),
    },
  });
}

/** Short content hash of named texts; the same for the same content. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 10);
}
