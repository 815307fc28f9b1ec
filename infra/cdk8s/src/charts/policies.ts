/** The namespace with its Pod Security level, and the network policies made from the declared edges. */
import { IntOrString, KubeNamespace, KubeNetworkPolicy } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { NetworkPolicyPeer, NetworkPolicyPort } from 'cdk8s-plus-33/lib/imports/k8s.js';
import { Chart } from 'cdk8s';
import type { App } from 'cdk8s';
import type { DeploymentConfig } from '../config.ts';
import { edgesOf } from '../edges.ts';
import type { Edge } from '../edges.ts';
import { objectLabels, selectorOf, workloadsOf } from '../names.ts';
import { addChart } from './chart.ts';

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/** The namespace: "restricted" is enforced, and warned about and audited at the same pinned version. */
export function namespaceChart(app: App, config: DeploymentConfig): Chart {
  // Not addChart: a namespace lies in no namespace.
  const chart = new Chart(app, 'namespace', { labels: objectLabels(config) });
  const levels = ['enforce', 'warn', 'audit'].flatMap((mode) => [
    [`pod-security.kubernetes.io/${mode}`, 'restricted'],
    [`pod-security.kubernetes.io/${mode}-version`, config.podSecurityVersion],
  ]);
  new KubeNamespace(chart, 'namespace', { metadata: { name: config.namespace, labels: Object.fromEntries(levels) } });
  return chart;
}

/** Denies everything both ways, then opens exactly the declared edges, at both of their ends. */
export function policiesChart(app: App, config: DeploymentConfig): Chart {
  const chart = addChart(app, config, 'policies');
  new KubeNetworkPolicy(chart, 'default-deny', {
    metadata: { name: 'default-deny' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  });
  const edges = edgesOf(config);
  for (const workload of workloadsOf(config)) {
    const incoming = edges.filter(({ to }) => to === workload);
    const outgoing = edges.filter(({ from }) => from === workload);
    new KubeNetworkPolicy(chart, workload, {
      metadata: { name: workload },
      spec: {
        podSelector: { matchLabels: selectorOf(workload) },
        policyTypes: ['Ingress', 'Egress'],
        ingress: incoming.map((edge) => ({ from: peersOf(edge.from), ports: [portOf(edge)] })),
        egress: outgoing.map((edge) => ({ to: peersOf(edge.to), ports: [portOf(edge)] })),
      },
    });
  }
  return chart;
}

function portOf(edge: Edge): NetworkPolicyPort {
  return { port: IntOrString.fromNumber(edge.port), protocol: edge.protocol };
}

function peersOf(end: Edge['from']): NetworkPolicyPeer[] {
  if (typeof end === 'string') return [{ podSelector: { matchLabels: selectorOf(end) } }];
  switch (end.kind) {
    case 'namespace':
      return [{ namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: end.name } } }];
    case 'dns':
      return [
        {
          namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: 'kube-system' } },
          podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
        },
      ];
    case 'cidrs':
      return end.cidrs.map((cidr) => ({ ipBlock: { cidr } }));
  }
}
