/** Rendered objects as the rules read them: plain JSON whose every field may be missing. */
import type { DeploymentConfig } from '../config.ts';
import { edgesOf } from '../edges.ts';
import type { Edge } from '../edges.ts';
import { requiredSecrets } from '../secrets.ts';
import type { SecretKey } from '../secrets.ts';
import type { Manifest } from '../synth.ts';

type Labels = Record<string, string>;
type Amounts = Record<string, string | number>;
export type ProbeView = Record<string, unknown> & {
  httpGet?: { port?: string | number };
  tcpSocket?: { port?: string | number };
};

export interface SelectorView {
  matchLabels?: Labels;
  matchExpressions?: unknown[];
}

export interface ContainerView {
  name?: string;
  image?: string;
  command?: string[];
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  envFrom?: unknown[];
  ports?: { name?: string; containerPort?: number; hostPort?: number }[];
  resources?: { requests?: Amounts; limits?: Amounts };
  securityContext?: {
    runAsNonRoot?: boolean;
    runAsUser?: number;
    allowPrivilegeEscalation?: boolean;
    privileged?: boolean;
    readOnlyRootFilesystem?: boolean;
    capabilities?: { drop?: string[]; add?: string[] };
    seccompProfile?: { type?: string };
  };
  startupProbe?: ProbeView;
  livenessProbe?: ProbeView;
  readinessProbe?: ProbeView;
  lifecycle?: { preStop?: { sleep?: { seconds?: number }; exec?: unknown } };
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

export interface VolumeView {
  name: string;
  emptyDir?: { sizeLimit?: string };
  configMap?: { name?: string };
  secret?: { secretName?: string };
  persistentVolumeClaim?: { claimName?: string };
  projected?: { sources?: { secret?: { name?: string; items?: { key: string }[] }; configMap?: { name?: string } }[] };
  [kind: string]: unknown;
}

export interface PodSpecView {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  securityContext?: {
    runAsNonRoot?: boolean;
    runAsUser?: number;
    runAsGroup?: number;
    fsGroup?: number;
    seccompProfile?: { type?: string };
  };
  topologySpreadConstraints?: { topologyKey?: string; labelSelector?: SelectorView }[];
  initContainers?: ContainerView[];
  containers?: ContainerView[];
  volumes?: VolumeView[];
}

interface TemplateView {
  metadata?: { labels?: Labels };
  spec?: PodSpecView;
}

export interface JobSpecView {
  activeDeadlineSeconds?: number;
  backoffLimit?: number;
  ttlSecondsAfterFinished?: number;
  template?: TemplateView;
}

/** Fields of `spec` that rules read, of whatever kind the object is. */
export interface SpecView extends JobSpecView {
  replicas?: number;
  serviceName?: string;
  selector?: SelectorView & Labels;
  strategy?: { type?: string; rollingUpdate?: { maxUnavailable?: number | string } };
  updateStrategy?: { type?: string };
  persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string };
  volumeClaimTemplates?: { metadata?: { name?: string }; spec?: ClaimView }[];
  storageClassName?: string;
  clusterIP?: string;
  ports?: { port?: number; targetPort?: string | number }[];
  jobTemplate?: { spec?: JobSpecView };
  schedule?: string;
  timeZone?: string;
  concurrencyPolicy?: string;
  startingDeadlineSeconds?: number;
  minAvailable?: number | string;
  maxUnavailable?: number | string;
  unhealthyPodEvictionPolicy?: string;
  podSelector?: SelectorView;
  policyTypes?: string[];
  ingress?: { from?: PeerView[]; ports?: PortView[] }[];
  egress?: { to?: PeerView[]; ports?: PortView[] }[];
  tls?: { hosts?: string[]; secretName?: string }[];
  rules?: {
    host?: string;
    http?: { paths?: { backend?: { service?: { name?: string; port?: { name?: string; number?: number } } } }[] };
  }[];
}

interface ClaimView {
  storageClassName?: string;
}

export interface PeerView {
  podSelector?: SelectorView;
  namespaceSelector?: SelectorView;
  ipBlock?: { cidr?: string; except?: string[] };
}

export interface PortView {
  port?: number | string;
  protocol?: string;
}

/** One pod template and the object it belongs to. */
export interface PodView {
  owner: Manifest;
  /** `Deployment/api`. */
  title: string;
  labels: Labels;
  spec: PodSpecView;
  containers: ContainerView[];
  /** Serves until it is stopped; a Job's pod does not. */
  longRunning: boolean;
  replicas: number;
}

/** What a rule may look at. */
export interface Rendering {
  objects: readonly Manifest[];
  pods: readonly PodView[];
  secrets: readonly SecretKey[];
  edges: readonly Edge[];
  config: DeploymentConfig;
}

/** The `spec` of an object as rules read it. */
export function specOf(object: Manifest): SpecView {
  // Rules judge JSON of any origin: every field of the view is optional, so each one is tested before it is used.
  return object['spec'] ?? {};
}

/** `Deployment/api`. */
export function titleOf(object: Manifest): string {
  return `${object.kind}/${object.metadata.name}`;
}

/** Objects of a kind. */
export function ofKind(objects: readonly Manifest[], kind: string): Manifest[] {
  return objects.filter((object) => object.kind === kind);
}

/** True when the labels satisfy the selector. An empty selector takes everything. Throws on `matchExpressions`, which we never render. */
export function selects(selector: SelectorView, labels: Labels): boolean {
  if (selector.matchExpressions !== undefined) throw new Error('matchExpressions are not rendered and not understood');
  return Object.entries(selector.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
}

/** Gathers what rules look at. */
export function viewRendering(objects: readonly Manifest[], config: DeploymentConfig): Rendering {
  return { objects, config, pods: objects.flatMap(podsOf), secrets: requiredSecrets(config), edges: edgesOf(config) };
}

function podsOf(object: Manifest): PodView[] {
  const spec = specOf(object);
  const template = spec.template ?? spec.jobTemplate?.spec?.template;
  if (template === undefined) return [];
  const pod = template.spec ?? {};
  return [
    {
      owner: object,
      title: titleOf(object),
      labels: template.metadata?.labels ?? {},
      spec: pod,
      containers: [...(pod.initContainers ?? []), ...(pod.containers ?? [])],
      longRunning: object.kind === 'Deployment' || object.kind === 'StatefulSet',
      replicas: spec.replicas ?? 1,
    },
  ];
}
