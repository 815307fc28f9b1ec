/** One ServiceAccount per workload, none of which holds a token: no workload speaks to the Kubernetes API. */
import { KubeServiceAccount } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { App, Chart } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { workloadsOf } from '../names.ts';
import { addChart } from './chart.ts';

/** The accounts of every workload of the configuration. */
export function identityChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'identity');
  for (const workload of workloadsOf(config)) {
    new KubeServiceAccount(chart, workload, { metadata: { name: workload }, automountServiceAccountToken: false });
  }
  return chart;
}
