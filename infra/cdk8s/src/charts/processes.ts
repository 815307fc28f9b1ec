/** What the Deployments of the API and of the workers have in common. */
import { IntOrString, KubeDeployment, KubePodDisruptionBudget } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Chart } from 'cdk8s';
import { scratch, secretFiles } from '../constructs/mounts.ts';
import { podTemplate } from '../constructs/pod.ts';
import type { PodParts } from '../constructs/pod.ts';
import { selectorOf } from '../names.ts';
import type { Workload } from '../names.ts';
import type { SecretKeyName } from '../secrets.ts';

/** Folder of the application in its image. */
export const APP_PATH = '/app';

/** Seconds between a pod's removal from its Service and its stop signal: load balancers learn of it late. */
export const DRAIN_SECONDS = 10;

export interface Process {
  workload: Workload;
  replicas: number;
  keys: readonly SecretKeyName[];
  pod: Pick<PodParts, 'container' | 'resources' | 'graceSeconds'>;
}

/**
 * Adds a Deployment that never has fewer ready pods than replicas during a rollout. With two or more replicas it also gets a budget that
 * lets one pod go at a time, and lets pods that are not ready go always, so that a drain is never blocked by a broken release.
 */
export function addProcess(chart: Chart, process: Process): void {
  const { workload, replicas } = process;
  new KubeDeployment(chart, `${workload}-deployment`, {
    metadata: { name: workload },
    spec: {
      replicas,
      revisionHistoryLimit: 5,
      progressDeadlineSeconds: 600,
      strategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxUnavailable: IntOrString.fromNumber(0), maxSurge: IntOrString.fromNumber(1) },
      },
      selector: { matchLabels: selectorOf(workload) },
      template: podTemplate({
        workload,
        ...process.pod,
        restartPolicy: 'Always',
        mounts: [secretFiles(process.keys), scratch('tmp', '/tmp', { size: '128Mi' })],
      }),
    },
  });
  if (replicas < 2) return;
  new KubePodDisruptionBudget(chart, `${workload}-budget`, {
    metadata: { name: workload },
    spec: {
      maxUnavailable: IntOrString.fromNumber(1),
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorOf(workload) },
    },
  });
}
