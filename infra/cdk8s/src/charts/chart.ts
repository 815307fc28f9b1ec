/** A chart whose objects carry the namespace and the labels of the deployment. */
import { Chart } from 'cdk8s';
import type { App } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { objectLabels } from '../names.ts';

/** Adds an empty chart to the application. */
export function addChart(app: App, config: DeploymentConfig, name: string): Chart {
  return new Chart(app, name, { namespace: config.namespace, labels: objectLabels(config) });
}
