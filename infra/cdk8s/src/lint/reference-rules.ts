/** Rules about objects that name each other: everything that is named exists, and nothing is named twice. */
import type { Rule } from './rule.ts';
import { ofKind, selects, specOf, titleOf } from './view.ts';
import type { PodView, Rendering, VolumeView } from './view.ts';

const LABELS = ['app.kubernetes.io/part-of', 'app.kubernetes.io/version', 'novax.io/release'] as const;

interface Reference {
  kind: string;
  name: string;
  keys: string[];
}

function volumeReferences(volume: VolumeView): Reference[] {
  const references: Reference[] = [];
  const add = (kind: string, name: string | undefined, keys: string[] = []) => {
    if (name !== undefined) references.push({ kind, name, keys });
  };
  add('ConfigMap', volume.configMap?.name);
  add('PersistentVolumeClaim', volume.persistentVolumeClaim?.claimName);
  add('Secret', volume.secret?.secretName);
  for (const source of volume.projected?.sources ?? []) {
    add('ConfigMap', source.configMap?.name);
    add(
      'Secret',
      source.secret?.name,
      (source.secret?.items ?? []).map(({ key }) => key),
    );
  }
  return references;
}

function exists({ objects, secrets }: Rendering, reference: Reference): boolean {
  if (reference.kind !== 'Secret')
    return ofKind(objects, reference.kind).some(({ metadata }) => metadata.name === reference.name);
  const keys = new Set(secrets.filter(({ secret }) => secret === reference.name).map(({ key }) => key));
  return keys.size > 0 && reference.keys.every((key) => keys.has(key));
}

const hasPort = ({ containers }: PodView, port: string | number | undefined): boolean =>
  containers.some(({ ports = [] }) =>
    ports.some(({ name, containerPort }) => port !== undefined && (name === port || containerPort === port)),
  );

export const REFERENCE_RULES: readonly Rule[] = [
  {
    id: 'unique-names',
    guarantee: 'no two objects have the same kind and name',
    check: ({ objects }) => {
      const titles = objects.map(titleOf);
      return titles
        .filter((title, index) => titles.indexOf(title) !== index)
        .map((title) => `${title}: is rendered twice`);
    },
  },
  {
    id: 'namespaced',
    guarantee: 'every object lies in the namespace of the configuration',
    check: ({ objects, config }) =>
      objects.flatMap((object) => {
        const { name, namespace } = object.metadata;
        const fine =
          object.kind === 'Namespace'
            ? name === config.namespace && namespace === undefined
            : namespace === config.namespace;
        return fine ? [] : [`${titleOf(object)}: namespace ${namespace}`];
      }),
  },
  {
    id: 'labelled',
    guarantee: 'every object says what it belongs to, of which release, and who manages it',
    check: ({ objects }) =>
      objects.flatMap((object) => {
        const labels = object.metadata.labels ?? {};
        return labels['app.kubernetes.io/managed-by'] === 'novax-ops' && LABELS.every((name) => labels[name])
          ? []
          : [`${titleOf(object)}: lacks labels`];
      }),
  },
  {
    id: 'selector-matches',
    guarantee: 'a workload selects its own pods and nobody else does',
    check: ({ pods }) =>
      pods
        .filter(({ longRunning }) => longRunning)
        .flatMap((pod) => {
          const selector = specOf(pod.owner).selector ?? {};
          const selected = pods.filter(({ labels }) => selects(selector, labels));
          return selected.length === 1 && selected[0] === pod
            ? []
            : [`${pod.title}: selects ${selected.map(({ title }) => title).join(', ') || 'nothing'}`];
        }),
  },
  {
    id: 'service-reaches-pods',
    guarantee: 'a Service selects the pods of one workload at ports they open',
    check: ({ objects, pods }) =>
      ofKind(objects, 'Service').flatMap((service) => {
        const { selector = {}, ports = [] } = specOf(service);
        const selected = pods.filter(({ labels }) => selects({ matchLabels: selector }, labels));
        const [pod] = selected;
        const fine =
          pod !== undefined &&
          selected.length === 1 &&
          ports.length > 0 &&
          ports.every(({ targetPort }) => hasPort(pod, targetPort));
        return fine ? [] : [`${titleOf(service)}: reaches no pod, several workloads, or no port`];
      }),
  },
  {
    id: 'stateful-service',
    guarantee: 'a StatefulSet has its headless Service',
    check: ({ objects }) =>
      ofKind(objects, 'StatefulSet').flatMap((set) => {
        const service = ofKind(objects, 'Service').find(({ metadata }) => metadata.name === specOf(set).serviceName);
        return service !== undefined && specOf(service).clusterIP === 'None'
          ? []
          : [`${titleOf(set)}: has no headless Service`];
      }),
  },
  {
    id: 'ingress-reaches-service',
    guarantee: 'the edge ends TLS for each of its hosts and leads to a Service that exists',
    check: (rendering) =>
      ofKind(rendering.objects, 'Ingress').flatMap((ingress) => {
        const { tls = [], rules = [] } = specOf(ingress);
        const secured = new Set(
          tls
            .filter(({ secretName = '' }) => exists(rendering, { kind: 'Secret', name: secretName, keys: [] }))
            .flatMap(({ hosts = [] }) => hosts),
        );
        const backends = rules.flatMap(({ http }) =>
          (http?.paths ?? []).map(({ backend }) => backend?.service?.name ?? ''),
        );
        const found = backends.every((name) => exists(rendering, { kind: 'Service', name, keys: [] }));
        return found && backends.length > 0 && rules.every(({ host }) => host !== undefined && secured.has(host))
          ? []
          : [`${titleOf(ingress)}: no TLS or no Service`];
      }),
  },
  {
    id: 'references-exist',
    guarantee: 'every ConfigMap, claim, Secret and key that a pod mounts exists or is declared',
    check: (rendering) =>
      rendering.pods.flatMap(({ spec, title }) =>
        (spec.volumes ?? [])
          .flatMap(volumeReferences)
          .filter((reference) => !exists(rendering, reference))
          .map(({ kind, name, keys }) => `${title}: ${kind} ${name} ${keys.join(', ')}`),
      ),
  },
  {
    id: 'secret-files-mounted',
    guarantee: 'every NAME_FILE variable names a file that is mounted',
    check: ({ pods }) =>
      pods.flatMap(({ spec, containers, title }) => {
        const keys = new Set((spec.volumes ?? []).flatMap(volumeReferences).flatMap((reference) => reference.keys));
        const files = containers.flatMap(({ env = [] }) =>
          env.filter(({ name }) => name.endsWith('_FILE')).map(({ value = '' }) => value),
        );
        return files
          .filter((file) => !keys.has(file.slice(file.lastIndexOf('/') + 1)))
          .map((file) => `${title}: ${file} is not mounted`);
      }),
  },
];
