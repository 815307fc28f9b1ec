/** Rules of the Pod Security Standard "restricted", of the NSA hardening guide, and about identity and secrets. */
import { containerRule, podRule } from './rule.ts';
import type { Rule } from './rule.ts';
import { ofKind, titleOf } from './view.ts';

const VOLUME_KINDS = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const SECRET_NAME = /(_URL|SECRET|PASSWORD|KEY|KEYS|TOKEN|CREDS)$/;
const PLAIN_URLS = new Set(['PUBLIC_URL', 'APP_URL', 'MEILI_URL', 'EMBEDDING_BASE_URL']);
const HIGH = 10_000;

export const SECURITY_RULES: readonly Rule[] = [
  podRule('pod-non-root', 'pods refuse root', ({ spec }) =>
    spec.securityContext?.runAsNonRoot === true ? undefined : 'may run as root',
  ),
  containerRule('container-non-root', 'containers refuse root', (c) => c.securityContext?.runAsNonRoot === true),
  podRule('high-uid', 'user and group are above 10000', ({ spec }) => {
    const { runAsUser = 0, runAsGroup = 0, fsGroup = 0 } = spec.securityContext ?? {};
    return Math.min(runAsUser, runAsGroup, fsGroup) > HIGH
      ? undefined
      : `user ${runAsUser}, group ${runAsGroup}, volumes ${fsGroup}`;
  }),
  containerRule(
    'container-high-uid',
    'no container lowers the user',
    (c) => (c.securityContext?.runAsUser ?? HIGH + 1) > HIGH,
  ),
  containerRule(
    'read-only-root',
    'the root file system is read-only',
    (c) => c.securityContext?.readOnlyRootFilesystem === true,
  ),
  containerRule(
    'no-escalation',
    'no privilege can be gained',
    (c) => c.securityContext?.allowPrivilegeEscalation === false,
  ),
  containerRule('not-privileged', 'no container is privileged', (c) => c.securityContext?.privileged !== true),
  containerRule('drop-all', 'every capability is dropped and none added', ({ securityContext }) => {
    const { drop = [], add = [] } = securityContext?.capabilities ?? {};
    return drop.includes('ALL') && add.length === 0;
  }),
  podRule('pod-seccomp', 'the system-call filter is the runtime default', ({ spec }) =>
    spec.securityContext?.seccompProfile?.type === 'RuntimeDefault' ? undefined : 'has no seccomp profile',
  ),
  containerRule(
    'container-seccomp',
    'no container lifts the filter',
    (c) => c.securityContext?.seccompProfile?.type !== 'Unconfined',
  ),
  podRule('no-host', 'nothing of the node is shared', ({ spec, containers }) => {
    const hostPorts = containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort !== undefined));
    return spec.hostNetwork === true || spec.hostPID === true || spec.hostIPC === true || hostPorts
      ? 'shares the node'
      : undefined;
  }),
  podRule('volume-kinds', 'volumes are of the kinds that "restricted" admits', ({ spec }) => {
    const kinds = (spec.volumes ?? []).flatMap((volume) => Object.keys(volume).filter((field) => field !== 'name'));
    const bad = kinds.filter((kind) => !VOLUME_KINDS.has(kind));
    return bad.length === 0 ? undefined : `volumes of kind ${bad.join(', ')}`;
  }),
  podRule('no-token', 'pods mount no token', ({ spec }) =>
    spec.automountServiceAccountToken === false ? undefined : 'mounts a token',
  ),
  {
    id: 'account-no-token',
    guarantee: 'accounts hand out no token',
    check: ({ objects }) =>
      ofKind(objects, 'ServiceAccount').flatMap((account) =>
        account['automountServiceAccountToken'] === false ? [] : [`${titleOf(account)}: hands out a token`],
      ),
  },
  {
    id: 'own-account',
    guarantee: 'every pod has an account of its own that exists',
    check: ({ objects, pods }) => {
      const accounts = new Set(ofKind(objects, 'ServiceAccount').map(({ metadata }) => metadata.name));
      const names = pods.map(({ spec }) => spec.serviceAccountName ?? 'default');
      return pods.flatMap(({ title }, index) => {
        const name = names[index] ?? 'default';
        const alone = names.filter((other) => other === name).length === 1;
        return name !== 'default' && accounts.has(name) && alone ? [] : [`${title}: account ${name}`];
      });
    },
  },
  containerRule(
    'no-secret-in-env',
    'secrets are files, never variables',
    ({ env = [], envFrom }) =>
      envFrom === undefined &&
      env.every(
        ({ name, value, valueFrom }) =>
          valueFrom === undefined && (!SECRET_NAME.test(name) || PLAIN_URLS.has(name) || value === undefined),
      ),
  ),
  {
    id: 'no-secret-rendered',
    guarantee: 'no Secret is rendered',
    check: ({ objects }) => ofKind(objects, 'Secret').map((secret) => `${titleOf(secret)}: is rendered`),
  },
  {
    id: 'no-cluster-rights',
    guarantee: 'nobody is granted a right on the Kubernetes API',
    check: ({ objects }) =>
      objects.filter(({ kind }) => /Role(Binding)?$/.test(kind)).map((object) => `${titleOf(object)}: grants rights`),
  },
  {
    id: 'namespace-restricted',
    guarantee: 'the namespace enforces, warns about and audits "restricted" at a pinned version',
    check: ({ objects }) => {
      const namespaces = ofKind(objects, 'Namespace');
      if (namespaces.length !== 1) return [`${namespaces.length} namespaces are rendered`];
      const labels = namespaces[0]?.metadata.labels ?? {};
      return ['enforce', 'warn', 'audit'].flatMap((mode) => {
        const key = `pod-security.kubernetes.io/${mode}`;
        return labels[key] === 'restricted' && /^v1\.\d+$/.test(labels[`${key}-version`] ?? '')
          ? []
          : [`Namespace: ${mode} is not restricted at a pinned version`];
      });
    },
  },
  containerRule(
    'pinned-image',
    'images name a version',
    ({ image = '' }) => /(:[^/:]+|@sha256:[0-9a-f]{64})$/.test(image) && !image.endsWith(':latest'),
  ),
];
