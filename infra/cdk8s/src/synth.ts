/** Configuration → Kubernetes objects → files, as a pure function. */
import { App, Yaml } from 'cdk8s';
import type { Chart } from 'cdk8s';
import { appChart } from './charts/app.ts';
import { dataChart } from './charts/data.ts';
import { identityChart } from './charts/identity.ts';
import { jobsChart, migrationChart } from './charts/jobs.ts';
import { namespaceChart, policiesChart } from './charts/policies.ts';
import { workersChart } from './charts/workers.ts';
import type { DeploymentConfig } from './config.ts';

/** A Kubernetes object as JSON. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

export interface RenderedFile {
  /** `10-data.yaml`: applying the files in the order of their names is right. */
  name: string;
  objects: readonly Manifest[];
  /** The objects as YAML documents. */
  yaml: string;
}

type ChartMaker = (app: App, config: DeploymentConfig) => Chart;

// What denies comes before what runs; what serves comes after what it serves from.
const STEPS: readonly (readonly [string, ChartMaker])[] = [
  ['00-namespace', namespaceChart],
  ['01-identity', identityChart],
  ['02-policies', policiesChart],
  ['10-data', dataChart],
  ['20-migration', migrationChart],
  ['30-app', appChart],
  ['31-workers', workersChart],
  ['40-jobs', jobsChart],
];

/** Renders every file of a configuration in the order of application. The same configuration gives the same bytes; no Secret is rendered. */
export function renderManifests(config: DeploymentConfig): RenderedFile[] {
  const app = new App();
  return STEPS.map(([name, makeChart]) => {
    // cdk8s types its output as any[]; every object of ours is built from its typed constructs, which set these fields.
    const objects = makeChart(app, config).toJson() as Manifest[];
    return { name: `${name}.yaml`, objects, yaml: Yaml.stringify(...objects) };
  });
}

/** The files as one YAML stream in the order of application. */
export function manifestStream(files: readonly RenderedFile[]): string {
  return files.map(({ yaml }) => yaml).join('---\n');
}
