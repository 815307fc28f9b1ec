/** Names, ports and labels that charts, policies and probes must agree on. */
import type { DeploymentConfig } from './config.ts';

/** Every workload; the value is its name, its component label, its Service and its ServiceAccount. */
export const WORKLOADS = [
  'postgres',
  'valkey-queue',
  'valkey-cache',
  'nats',
  'meilisearch',
  'migrate',
  'partitions',
  'backup',
  'api',
  'workers',
] as const;

export type Workload = (typeof WORKLOADS)[number];

/** Container ports, by purpose. */
export const PORTS = {
  postgres: 5432,
  valkey: 6379,
  nats: 4222,
  natsMonitor: 8222,
  meilisearch: 7700,
  api: 3000,
  apiMetrics: 9464,
  workersMetrics: 9465,
  dns: 53,
} as const;

/** User and group of every container: above 10000, so that no account of a node has the same number; the images use the same. */
export const RUN_AS = 10_001;

/** Workloads of this configuration: `meilisearch` only when it is asked for. */
export function workloadsOf(config: DeploymentConfig): Workload[] {
  return WORKLOADS.filter((workload) => workload !== 'meilisearch' || config.data.meilisearch !== undefined);
}

/** Labels that select a workload's pods; immutable in a Deployment, so they hold nothing that a release changes. */
export function selectorOf(workload: Workload): Record<string, string> {
  return { 'app.kubernetes.io/name': 'novax', 'app.kubernetes.io/component': workload };
}

/** Labels of every rendered object. */
export function objectLabels(config: DeploymentConfig): Record<string, string> {
  return {
    'app.kubernetes.io/part-of': 'novax',
    'app.kubernetes.io/version': config.release,
    'app.kubernetes.io/managed-by': 'novax-ops',
    'novax.io/profile': config.profile,
    'novax.io/release': config.release,
  };
}
