/** Finds fields that Kubernetes does not know: a misspelt field is otherwise dropped by the server without a word. */
import * as k8s from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Manifest } from '../synth.ts';
import type { Rule } from './rule.ts';
import { titleOf } from './view.ts';

/** `manifest` turns an object's JSON into the JSON of what the typed constructs know of it. */
const KINDS: Readonly<Record<string, { manifest: (props: never) => unknown }>> = {
  ConfigMap: k8s.KubeConfigMap,
  CronJob: k8s.KubeCronJob,
  Deployment: k8s.KubeDeployment,
  Ingress: k8s.KubeIngress,
  Job: k8s.KubeJob,
  Namespace: k8s.KubeNamespace,
  NetworkPolicy: k8s.KubeNetworkPolicy,
  PersistentVolumeClaim: k8s.KubePersistentVolumeClaim,
  PodDisruptionBudget: k8s.KubePodDisruptionBudget,
  Service: k8s.KubeService,
  ServiceAccount: k8s.KubeServiceAccount,
  StatefulSet: k8s.KubeStatefulSet,
};

export const KNOWN_FIELDS_RULE: Rule = {
  id: 'known-fields',
  guarantee: 'Kubernetes knows every field',
  check: ({ objects }) =>
    objects.flatMap((object) => unknownFields(object).map((path) => `${titleOf(object)}: ${path}`)),
};

function unknownFields(object: Manifest): string[] {
  const known = KINDS[object.kind];
  if (known === undefined) return ['its kind is never rendered'];
  // `never` because each function takes props of its own kind; all of them read fields and keep those they know.
  const rendered: unknown = JSON.parse(JSON.stringify(known.manifest(boxed(object) as never)));
  return lost(object, rendered, '');
}

/**
 * The constructs take quantities and ports as `{ value }` and everything else as it is: a boxed primitive serves as both. They also write
 * `clusterIp` for `clusterIP`.
 */
function boxed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(boxed);
  if (typeof value === 'string' || typeof value === 'number') return Object.assign(Object(value), { value });
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replace(/IP$/, 'Ip').replace(/PID$/, 'Pid').replace(/IPC$/, 'Ipc'),
      boxed(item),
    ]),
  );
}

function lost(given: unknown, kept: unknown, path: string): string[] {
  if (typeof given !== 'object' || given === null) return [];
  // Both are JSON; a field that the other side lacks reads as undefined.
  const other = (kept ?? {}) as Record<string, unknown>;
  return Object.entries(given).flatMap(([key, value]) =>
    other[key] === undefined ? [`${path}.${key}`] : lost(value, other[key], `${path}.${key}`),
  );
}
