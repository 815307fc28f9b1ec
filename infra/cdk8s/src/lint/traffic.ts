/** Computes from rendered network policies who can reach whom, and compares it with the declared edges. */
import type { Edge } from '../edges.ts';
import type { Manifest } from '../synth.ts';
import type { Rule } from './rule.ts';
import { ofKind, selects, specOf } from './view.ts';
import type { PeerView, PodView, PortView, Rendering, SpecView } from './view.ts';

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/** One end of possible traffic; `ip` marks somebody outside the cluster. */
interface Endpoint {
  id: string;
  namespace?: string;
  labels: Record<string, string>;
  ip?: string;
}

/** Every allowed `from -> to PROTOCOL port` among the pods, the outsiders that edges name, and strangers that none names. */
export function allowedTraffic(rendering: Rendering): Set<string> {
  const policies = ofKind(rendering.objects, 'NetworkPolicy');
  const endpoints = endpointsOf(rendering);
  const ports = portsOf(policies, rendering.pods);
  const home = rendering.config.namespace;
  const allowed = new Set<string>();
  for (const from of endpoints) {
    for (const to of endpoints) {
      if (from === to || (from.namespace !== home && to.namespace !== home)) continue;
      for (const port of ports) {
        const leaves =
          from.namespace !== home || permits(policies, { home, at: from, peer: to, port, direction: 'Egress' });
        const arrives =
          to.namespace !== home || permits(policies, { home, at: to, peer: from, port, direction: 'Ingress' });
        if (leaves && arrives) allowed.add(`${from.id} -> ${to.id} ${port.protocol} ${port.port}`);
      }
    }
  }
  return allowed;
}

/** The declared edges in the words of `allowedTraffic`. */
export function declaredTraffic(edges: readonly Edge[]): Set<string> {
  return new Set(
    edges.flatMap(({ from, to, port, protocol }) =>
      endIds(from).flatMap((a) => endIds(to).map((b) => `${a} -> ${b} ${protocol} ${port}`)),
    ),
  );
}

export const TRAFFIC_RULES: readonly Rule[] = [
  {
    id: 'default-deny',
    guarantee: 'one policy takes every pod and allows nothing either way',
    check: ({ objects }) => {
      const found = ofKind(objects, 'NetworkPolicy')
        .map(specOf)
        .some(
          ({ podSelector, policyTypes = [], ingress, egress }) =>
            podSelector !== undefined &&
            Object.keys(podSelector).length === 0 &&
            policyTypes.includes('Ingress') &&
            policyTypes.includes('Egress') &&
            !ingress?.length &&
            !egress?.length,
        );
      return found ? [] : ['no policy denies by default'];
    },
  },
  {
    id: 'policy-selects',
    guarantee: 'every policy selects a pod',
    check: ({ objects, pods }) =>
      ofKind(objects, 'NetworkPolicy')
        .filter((policy) => !pods.some(({ labels }) => selects(specOf(policy).podSelector ?? {}, labels)))
        .map(({ metadata }) => `NetworkPolicy/${metadata.name}: selects no pod`),
  },
  {
    id: 'traffic-as-declared',
    guarantee: 'the policies allow the declared edges and no other',
    check: (rendering) => {
      const allowed = allowedTraffic(rendering);
      const declared = declaredTraffic(rendering.edges);
      return [
        ...[...allowed].filter((edge) => !declared.has(edge)).map((edge) => `allowed but not declared: ${edge}`),
        ...[...declared].filter((edge) => !allowed.has(edge)).map((edge) => `declared but not allowed: ${edge}`),
      ];
    },
  },
];

function endIds(end: Edge['from']): string[] {
  if (typeof end === 'string') return [end];
  if (end.kind === 'dns') return ['kube-dns'];
  return end.kind === 'namespace' ? [`namespace ${end.name}`] : end.cidrs.map((cidr) => `outside ${cidr}`);
}

function endpointsOf({ pods, edges, config }: Rendering): Endpoint[] {
  const found = new Map<string, Endpoint>();
  const add = (endpoint: Endpoint) => found.set(endpoint.id, endpoint);
  for (const { labels } of pods)
    add({ id: labels['app.kubernetes.io/component'] ?? '?', namespace: config.namespace, labels });
  for (const end of edges.flatMap(({ from, to }) => [from, to])) {
    if (typeof end === 'string' || end.kind === 'dns') continue;
    if (end.kind === 'namespace') add({ id: `namespace ${end.name}`, namespace: end.name, labels: {} });
    else for (const cidr of end.cidrs) add({ id: `outside ${cidr}`, labels: {}, ip: cidr.split('/')[0] ?? '' });
  }
  // Strangers, whom no edge names: with them, a policy that is too wide shows.
  add({ id: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } });
  add({ id: 'stranger in kube-system', namespace: 'kube-system', labels: {} });
  add({ id: 'stranger in another namespace', namespace: 'stranger', labels: { 'app.kubernetes.io/name': 'novax' } });
  add({ id: 'unlabelled pod', namespace: config.namespace, labels: {} });
  add({ id: 'stranger outside', labels: {}, ip: '198.51.100.77' });
  add({ id: 'metadata service', labels: {}, ip: '169.254.169.254' });
  return [...found.values()];
}

interface Port {
  port: number;
  protocol: string;
}

function portsOf(policies: readonly Manifest[], pods: readonly PodView[]): Port[] {
  const named = policies
    .map(specOf)
    .flatMap(({ ingress = [], egress = [] }) =>
      [...ingress, ...egress].flatMap(({ ports = [] }) => ports.map(({ port }) => Number(port))),
    );
  const opened = pods.flatMap(({ containers }) =>
    containers.flatMap(({ ports = [] }) => ports.map(({ containerPort = 0 }) => containerPort)),
  );
  // A port that nobody opens or names: with it, a rule without ports shows.
  const numbers = new Set([...named, ...opened, 31_337]);
  return [...numbers].flatMap((port) => ['TCP', 'UDP'].map((protocol) => ({ port, protocol })));
}

interface Question {
  home: string;
  at: Endpoint;
  peer: Endpoint;
  port: Port;
  direction: 'Ingress' | 'Egress';
}

/** As Kubernetes decides: no policy of the direction takes the pod → everything; otherwise whatever any of them allows. */
function permits(policies: readonly Manifest[], question: Question): boolean {
  const { at, direction } = question;
  const taking = policies
    .map(specOf)
    .filter(
      ({ podSelector = {}, policyTypes = [] }) => policyTypes.includes(direction) && selects(podSelector, at.labels),
    );
  return (
    taking.length === 0 || taking.some((spec) => rulesOf(spec, direction).some((rule) => rulePermits(rule, question)))
  );
}

function rulesOf(
  spec: SpecView,
  direction: Question['direction'],
): { peers: PeerView[] | undefined; ports: PortView[] | undefined }[] {
  if (direction === 'Ingress') return (spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
  return (spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
}

function rulePermits(
  { peers, ports }: { peers: PeerView[] | undefined; ports: PortView[] | undefined },
  { home, peer, port }: Question,
): boolean {
  const portFits =
    !ports?.length ||
    ports.some(
      (each) =>
        (each.protocol ?? 'TCP') === port.protocol && (each.port === undefined || Number(each.port) === port.port),
    );
  return portFits && (!peers?.length || peers.some((each) => peerFits(each, { home, peer })));
}

function peerFits(
  { ipBlock, namespaceSelector, podSelector }: PeerView,
  { home, peer }: { home: string; peer: Endpoint },
): boolean {
  if (ipBlock !== undefined)
    return (
      peer.ip !== undefined &&
      inBlock(peer.ip, ipBlock.cidr ?? '') &&
      !(ipBlock.except ?? []).some((cidr) => inBlock(peer.ip ?? '', cidr))
    );
  if (peer.namespace === undefined) return false;
  const namespaceFits =
    namespaceSelector === undefined
      ? peer.namespace === home
      : selects(namespaceSelector, { [NAMESPACE_NAME]: peer.namespace });
  return namespaceFits && selects(podSelector ?? {}, peer.labels);
}

function inBlock(ip: string, cidr: string): boolean {
  const [base = '', bits = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(numberOf(ip) / size) === Math.floor(numberOf(base) / size);
}

function numberOf(ip: string): number {
  return ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
