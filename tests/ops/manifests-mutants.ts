/** For every rule about manifests at least one mutation of a good rendering that the rule must catch. */
import type { Manifest } from '@novax/cdk8s/synth';
import { specOf, titleOf } from '@novax/cdk8s/lint/view';
import type { ContainerView, JobSpecView, PodSpecView, SpecView } from '@novax/cdk8s/lint/view';

type Mutation = (objects: Manifest[]) => void;

/** The object of a title such as `Deployment/api`. Throws when the rendering has none: the mutant would be no mutant. */
function find(objects: readonly Manifest[], title: string): Manifest {
  const found = objects.find((object) => titleOf(object) === title);
  if (found === undefined) throw new Error(`no ${title} is rendered`);
  return found;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the rendering lacks what the mutant changes');
  return value;
}

const onSpec =
  (title: string, change: (spec: SpecView) => void): Mutation =>
  (objects) =>
    change(specOf(find(objects, title)));

const onPod = (title: string, change: (pod: PodSpecView) => void): Mutation =>
  onSpec(title, (spec) => change(must((spec.template ?? spec.jobTemplate?.spec?.template)?.spec)));

const onContainer = (title: string, change: (container: ContainerView) => void): Mutation =>
  onPod(title, (pod) => change(must(pod.containers?.[0])));

const onJob = (title: string, change: (job: JobSpecView) => void): Mutation =>
  onSpec(title, (spec) => change(must(spec.jobTemplate?.spec)));

const remove =
  (title: string): Mutation =>
  (objects) => {
    objects.splice(objects.indexOf(find(objects, title)), 1);
  };

const label =
  (title: string, name: string, value: string): Mutation =>
  (objects) => {
    must(find(objects, title).metadata.labels)[name] = value;
  };

const extra =
  (kind: string): Mutation =>
  (objects) => {
    const { metadata } = must(objects.at(-1));
    objects.push({ apiVersion: 'v1', kind, metadata: { ...metadata, name: 'extra' } });
  };

/** Rule id → mutations, each of which must make that rule find something. */
export const MUTANTS: Readonly<Record<string, readonly Mutation[]>> = {
  'pod-non-root': [
    onPod('Deployment/api', (pod) => {
      must(pod.securityContext).runAsNonRoot = false;
    }),
  ],
  'container-non-root': [
    onContainer('CronJob/backup', (c) => {
      delete must(c.securityContext).runAsNonRoot;
    }),
  ],
  'high-uid': [
    onPod('StatefulSet/postgres', (pod) => {
      must(pod.securityContext).runAsUser = 999;
    }),
    onPod('StatefulSet/nats', (pod) => {
      must(pod.securityContext).fsGroup = 0;
    }),
  ],
  'container-high-uid': [
    onContainer('Deployment/api', (c) => {
      must(c.securityContext).runAsUser = 1000;
    }),
  ],
  'read-only-root': [
    onContainer('StatefulSet/valkey-cache', (c) => {
      must(c.securityContext).readOnlyRootFilesystem = false;
    }),
  ],
  'no-escalation': [
    onContainer('Deployment/workers', (c) => {
      delete must(c.securityContext).allowPrivilegeEscalation;
    }),
  ],
  'not-privileged': [
    onContainer('Deployment/workers', (c) => {
      must(c.securityContext).privileged = true;
    }),
  ],
  'drop-all': [
    onContainer('Deployment/api', (c) => {
      must(c.securityContext).capabilities = { drop: ['NET_RAW'] };
    }),
    onContainer('Deployment/api', (c) => {
      must(c.securityContext).capabilities = { drop: ['ALL'], add: ['SYS_ADMIN'] };
    }),
  ],
  'pod-seccomp': [
    onPod('Deployment/api', (pod) => {
      delete must(pod.securityContext).seccompProfile;
    }),
  ],
  'container-seccomp': [
    onContainer('Deployment/api', (c) => {
      must(c.securityContext).seccompProfile = { type: 'Unconfined' };
    }),
  ],
  'no-host': [
    onPod('Deployment/api', (pod) => {
      pod.hostNetwork = true;
    }),
    onContainer('StatefulSet/postgres', (c) => {
      must(c.ports?.[0]).hostPort = 5432;
    }),
  ],
  'volume-kinds': [
    onPod('Deployment/api', (pod) => {
      must(pod.volumes?.[0])['hostPath'] = { path: '/' };
    }),
  ],
  'no-token': [
    onPod('Deployment/api', (pod) => {
      delete pod.automountServiceAccountToken;
    }),
  ],
  'account-no-token': [
    (objects) => {
      delete find(objects, 'ServiceAccount/api')['automountServiceAccountToken'];
    },
  ],
  'own-account': [
    onPod('Deployment/api', (pod) => {
      delete pod.serviceAccountName;
    }),
    onPod('Deployment/api', (pod) => {
      pod.serviceAccountName = 'postgres';
    }),
    remove('ServiceAccount/backup'),
  ],
  'no-secret-in-env': [
    onContainer('Deployment/api', (c) => {
      c.env?.push({ name: 'DATABASE_URL', value: 'postgres://novax_api:secret@postgres/novax' });
    }),
    onContainer('Deployment/api', (c) => {
      c.env?.push({ name: 'ANY', valueFrom: { secretKeyRef: { name: 'novax-app', key: 'KEY_ENCRYPTION_KEY' } } });
    }),
    onContainer('Deployment/api', (c) => {
      c.envFrom = [{ secretRef: { name: 'novax-app' } }];
    }),
  ],
  'no-secret-rendered': [extra('Secret')],
  'no-cluster-rights': [extra('ClusterRoleBinding')],
  'namespace-restricted': [
    label('Namespace/novax', 'pod-security.kubernetes.io/enforce', 'baseline'),
    label('Namespace/novax', 'pod-security.kubernetes.io/enforce-version', 'latest'),
    remove('Namespace/novax'),
  ],
  'pinned-image': [
    onContainer('Deployment/api', (c) => {
      c.image = 'novax/app:latest';
    }),
    onContainer('Deployment/api', (c) => {
      c.image = 'registry.example.com:5000/novax/app';
    }),
  ],
  'resources-set': [
    onContainer('Deployment/api', (c) => {
      delete c.resources?.limits?.['memory'];
    }),
    onContainer('CronJob/backup', (c) => {
      delete c.resources?.requests?.['ephemeral-storage'];
    }),
  ],
  'requests-within-limits': [
    onContainer('Deployment/api', (c) => {
      must(c.resources?.requests)['memory'] = '64Gi';
    }),
  ],
  'probes-present': [
    onContainer('Deployment/workers', (c) => {
      delete c.readinessProbe;
    }),
    onContainer('StatefulSet/nats', (c) => {
      delete c.startupProbe;
    }),
  ],
  'probes-differ': [
    onContainer('Deployment/api', (c) => {
      c.readinessProbe = { ...must(c.livenessProbe), periodSeconds: 1 };
    }),
  ],
  'probe-ports-exist': [
    onContainer('Deployment/api', (c) => {
      must(c.readinessProbe?.httpGet).port = 'htttp';
    }),
  ],
  'grace-covers-drain': [
    onPod('Deployment/api', (pod) => {
      pod.terminationGracePeriodSeconds = 12;
    }),
  ],
  'no-service-links': [
    onPod('Deployment/api', (pod) => {
      delete pod.enableServiceLinks;
    }),
  ],
  'unique-env': [
    onContainer('Deployment/api', (c) => {
      c.env?.push({ name: 'PORT', value: '1' });
    }),
  ],
  'mounts-and-volumes': [
    onContainer('StatefulSet/postgres', (c) => {
      c.volumeMounts?.push({ name: 'nothing', mountPath: '/x' });
    }),
    onPod('Deployment/api', (pod) => {
      pod.volumes?.push({ name: 'unused', emptyDir: { sizeLimit: '1Mi' } });
    }),
  ],
  'bounded-scratch': [
    onPod('Deployment/api', (pod) => {
      for (const volume of pod.volumes ?? []) delete volume.emptyDir?.sizeLimit;
    }),
  ],
  'writable-tmp': [
    onContainer('Deployment/api', (c) => {
      for (const mount of c.volumeMounts ?? []) mount.readOnly = true;
    }),
  ],
  'spread': [
    onPod('Deployment/api', (pod) => {
      delete pod.topologySpreadConstraints;
    }),
    onPod('Deployment/api', (pod) => {
      for (const each of pod.topologySpreadConstraints ?? []) each.labelSelector = { matchLabels: { app: 'other' } };
    }),
  ],
  'rollout-keeps-capacity': [
    onSpec('Deployment/api', (spec) => void (spec.strategy = { type: 'Recreate' })),
    onSpec('Deployment/api', (spec) => {
      must(spec.strategy?.rollingUpdate).maxUnavailable = '50%';
    }),
  ],
  'budget-exists': [remove('PodDisruptionBudget/api')],
  'budget-lets-go': [
    onSpec('PodDisruptionBudget/api', (spec) => void (spec.maxUnavailable = 0)),
    onSpec('PodDisruptionBudget/api', (spec) => {
      delete spec.maxUnavailable;
      spec.minAvailable = 2;
    }),
    onSpec('PodDisruptionBudget/api', (spec) => void (spec.unhealthyPodEvictionPolicy = 'IfHealthyBudget')),
    onSpec('Deployment/api', (spec) => void (spec.replicas = 1)),
  ],
  'schedule-bounded': [
    onSpec('CronJob/backup', (spec) => void (spec.concurrencyPolicy = 'Allow')),
    onSpec('CronJob/backup', (spec) => {
      delete spec.startingDeadlineSeconds;
    }),
    onJob('CronJob/partitions', (job) => {
      delete job.activeDeadlineSeconds;
    }),
  ],
  'job-bounded': [
    (objects) => {
      delete specOf(must(objects.find(({ kind }) => kind === 'Job'))).ttlSecondsAfterFinished;
    },
  ],
  'data-retained': [
    onSpec(
      'StatefulSet/postgres',
      (spec) => void (spec.persistentVolumeClaimRetentionPolicy = { whenDeleted: 'Delete' }),
    ),
    onSpec('StatefulSet/postgres', (spec) => {
      must(spec.volumeClaimTemplates?.[0]?.spec).storageClassName = 'plain';
    }),
  ],
  'unique-names': [
    (objects) => {
      objects.push(find(objects, 'Service/api'));
    },
  ],
  'namespaced': [
    (objects) => {
      find(objects, 'Service/api').metadata.namespace = 'default';
    },
    (objects) => {
      find(objects, 'Namespace/novax').metadata.namespace = 'novax';
    },
  ],
  'labelled': [
    label('Service/api', 'app.kubernetes.io/managed-by', 'somebody'),
    label('Service/api', 'novax.io/release', ''),
  ],
  'selector-matches': [
    onSpec('Deployment/api', (spec) => {
      must(spec.template?.metadata?.labels)['app.kubernetes.io/component'] = 'other';
    }),
    onSpec('Deployment/api', (spec) => {
      must(spec.selector).matchLabels = { 'app.kubernetes.io/name': 'novax' };
    }),
  ],
  'service-reaches-pods': [
    onSpec('Service/api', (spec) => {
      must(spec.selector)['app.kubernetes.io/component'] = 'nobody';
    }),
    onSpec('Service/api', (spec) => void (spec.selector = { 'app.kubernetes.io/name': 'novax' })),
    onSpec('Service/nats', (spec) => {
      must(spec.ports?.[0]).targetPort = 'absent';
    }),
  ],
  'stateful-service': [
    onSpec('StatefulSet/postgres', (spec) => void (spec.serviceName = 'absent')),
    onSpec('Service/postgres', (spec) => {
      delete spec.clusterIP;
    }),
  ],
  'ingress-reaches-service': [
    remove('Service/api'),
    onSpec('Ingress/api', (spec) => {
      delete spec.tls;
    }),
    onSpec('Ingress/api', (spec) => {
      must(spec.tls?.[0]).secretName = 'undeclared';
    }),
    onSpec('Ingress/api', (spec) => {
      must(spec.tls?.[0]).hosts = ['other.example.com'];
    }),
  ],
  'references-exist': [
    remove('ConfigMap/postgres-config'),
    remove('PersistentVolumeClaim/backups'),
    onPod('Deployment/api', (pod) => {
      must(pod.volumes?.[0]?.projected?.sources?.[0]?.secret).name = 'undeclared';
    }),
    onPod('Deployment/api', (pod) => {
      must(pod.volumes?.[0]?.projected?.sources?.[0]?.secret?.items?.[0]).key = 'UNDECLARED';
    }),
  ],
  'secret-files-mounted': [
    onContainer('Deployment/api', (c) => {
      c.env?.push({ name: 'SMTP_URL_FILE', value: '/run/secrets/novax/SMTP_URL' });
    }),
  ],
  'default-deny': [
    remove('NetworkPolicy/default-deny'),
    onSpec('NetworkPolicy/default-deny', (spec) => void (spec.egress = [{}])),
  ],
  'policy-selects': [
    onSpec('NetworkPolicy/nats', (spec) => {
      must(spec.podSelector?.matchLabels)['app.kubernetes.io/component'] = 'natz';
    }),
  ],
  'traffic-as-declared': [
    remove('NetworkPolicy/api'),
    remove('NetworkPolicy/default-deny'),
    onSpec('NetworkPolicy/postgres', (spec) => {
      must(spec.ingress).push({});
    }),
    onSpec('NetworkPolicy/api', (spec) => {
      must(spec.egress).push({ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }], ports: [{ port: 443, protocol: 'TCP' }] });
    }),
    onSpec('NetworkPolicy/api', (spec) => {
      delete must(spec.egress?.find(({ to }) => to?.[0]?.ipBlock)).ports;
    }),
    onSpec('NetworkPolicy/api', (spec) => {
      for (const rule of spec.egress ?? [])
        for (const to of rule.to ?? []) if (to.namespaceSelector) delete to.podSelector;
    }),
    onSpec('NetworkPolicy/workers', (spec) => {
      spec.egress?.shift();
    }),
    onSpec('NetworkPolicy/valkey-queue', (spec) => {
      spec.policyTypes = ['Ingress'];
      spec.ingress?.push({ from: [{ namespaceSelector: {}, podSelector: {} }] });
    }),
  ],
  'known-fields': [
    onSpec('Deployment/api', (spec) => void Object.assign(spec, { replica: 3 })),
    onContainer('StatefulSet/postgres', (c) => {
      Object.assign(must(c.securityContext), { readOnlyRootFileSystem: true });
    }),
    extra('Widget'),
  ],
};
