/** The pod that every workload runs: one hardened container with its volumes under an account without a token. */
import type { Container, PodTemplateSpec } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Resources } from '../config.ts';
import { selectorOf } from '../names.ts';
import type { Workload } from '../names.ts';
import type { Mounted } from './mounts.ts';
import { resourceRequirements } from './resources.ts';
import { containerSecurity, podSecurity } from './security.ts';

export interface PodParts {
  workload: Workload;
  /** Everything but name, security context, resources and mounts, which are the same for all. */
  container: Pick<
    Container,
    | 'image'
    | 'command'
    | 'args'
    | 'env'
    | 'ports'
    | 'workingDir'
    | 'startupProbe'
    | 'livenessProbe'
    | 'readinessProbe'
    | 'lifecycle'
  >;
  mounts: readonly Mounted[];
  resources: Resources;
  /** Seconds from the stop signal to the kill; covers `preStop`. */
  graceSeconds: number;
  /** Jobs say `Never`, so that every attempt is a pod whose log stays. */
  restartPolicy: 'Always' | 'Never';
  /** Changes when configuration that the process reads only at its start changes. */
  annotations?: Record<string, string>;
}

/** A pod template that the Pod Security Standard "restricted" admits; replicas spread over zones and nodes where there are several. */
export function podTemplate(parts: PodParts): PodTemplateSpec {
  const labels = selectorOf(parts.workload);
  const spread = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    // Not DoNotSchedule: with one node left, two replicas on it are better than one.
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: labels },
  }));
  return {
    metadata: { labels, ...(parts.annotations === undefined ? {} : { annotations: parts.annotations }) },
    spec: {
      serviceAccountName: parts.workload,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: parts.restartPolicy,
      terminationGracePeriodSeconds: parts.graceSeconds,
      securityContext: podSecurity(),
      ...(parts.restartPolicy === 'Always' ? { topologySpreadConstraints: spread } : {}),
      containers: [
        {
          ...parts.container,
          name: parts.workload,
          imagePullPolicy: 'IfNotPresent',
          securityContext: containerSecurity(),
          resources: resourceRequirements(parts.resources),
          volumeMounts: parts.mounts.map(({ mount }) => mount),
        },
      ],
      volumes: parts.mounts.flatMap(({ volume }) => (volume === undefined ? [] : [volume])),
    },
  };
}
