/** Rules about running well: resources, probes, volumes, stopping, spreading, disruption, schedules. */
import { bytesOf, milliCpuOf } from '../quantities.ts';
import { containerRule, podRule } from './rule.ts';
import type { Rule } from './rule.ts';
import { ofKind, selects, specOf, titleOf } from './view.ts';
import type { ContainerView, JobSpecView, ProbeView } from './view.ts';

const RESOURCES = ['cpu', 'memory', 'ephemeral-storage'] as const;

const amount = (name: string, text: string | number | undefined): number =>
  (name === 'cpu' ? milliCpuOf(String(text)) : bytesOf(String(text))) ?? Number.NaN;

const probesOf = (c: ContainerView): (ProbeView | undefined)[] => [c.startupProbe, c.livenessProbe, c.readinessProbe];

/** What a probe asks, without how often. */
const question = (probe: ProbeView | undefined): string =>
  JSON.stringify([probe?.httpGet ?? null, probe?.tcpSocket ?? null, probe?.['exec'] ?? null]);

const boundedJob = (job: JobSpecView | undefined): boolean =>
  (job?.activeDeadlineSeconds ?? 0) > 0 && job?.backoffLimit !== undefined && job.ttlSecondsAfterFinished !== undefined;

export const RUNNING_RULES: readonly Rule[] = [
  containerRule('resources-set', 'CPU, memory and ephemeral storage have a request and a limit', ({ resources }) =>
    RESOURCES.every((name) => resources?.requests?.[name] !== undefined && resources.limits?.[name] !== undefined),
  ),
  containerRule('requests-within-limits', 'no request is above its limit', ({ resources }) =>
    RESOURCES.every((name) => !(amount(name, resources?.requests?.[name]) > amount(name, resources?.limits?.[name]))),
  ),
  containerRule(
    'probes-present',
    'what serves has all three probes',
    (c, pod) => !pod.longRunning || probesOf(c).every((probe) => probe !== undefined),
  ),
  containerRule(
    'probes-differ',
    'readiness asks something else than liveness',
    (c, pod) => !pod.longRunning || question(c.readinessProbe) !== question(c.livenessProbe),
  ),
  containerRule('probe-ports-exist', 'probes ask ports that the container names', (c) => {
    const ports = new Set((c.ports ?? []).flatMap(({ name, containerPort }) => [name, containerPort]));
    return probesOf(c).every((probe) => {
      const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
      return port === undefined || ports.has(typeof port === 'number' ? port : String(port));
    });
  }),
  podRule('grace-covers-drain', 'the drain leaves time to stop', ({ spec, containers }) => {
    const grace = spec.terminationGracePeriodSeconds ?? 0;
    const drain = Math.max(0, ...containers.map(({ lifecycle }) => lifecycle?.preStop?.sleep?.seconds ?? 0));
    return grace >= drain + 20 ? undefined : `${grace} s to stop, ${drain} s of them draining`;
  }),
  podRule('no-service-links', 'no variables of foreign Services appear', ({ spec }) =>
    spec.enableServiceLinks === false ? undefined : 'takes variables of every Service',
  ),
  containerRule(
    'unique-env',
    'no variable is set twice',
    ({ env = [] }) => new Set(env.map(({ name }) => name)).size === env.length,
  ),
  podRule(
    'mounts-and-volumes',
    'every mount has its volume and every volume its mount',
    ({ spec, containers, owner }) => {
      const claims = (specOf(owner).volumeClaimTemplates ?? []).map(({ metadata }) => metadata?.name ?? '');
      const volumes = new Set([...(spec.volumes ?? []).map(({ name }) => name), ...claims]);
      const mounts = new Set(containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)));
      const odd = [...volumes, ...mounts].filter((name) => volumes.has(name) !== mounts.has(name));
      return odd.length === 0 ? undefined : `volume or mount alone: ${odd.join(', ')}`;
    },
  ),
  podRule('bounded-scratch', 'scratch folders have a size limit', ({ spec }) => {
    const open = (spec.volumes ?? []).filter(
      ({ emptyDir }) => emptyDir !== undefined && emptyDir.sizeLimit === undefined,
    );
    return open.length === 0 ? undefined : `no size limit on ${open.map(({ name }) => name).join(', ')}`;
  }),
  containerRule('writable-tmp', 'a read-only root leaves a /tmp to write in', ({ volumeMounts = [] }) =>
    volumeMounts.some(({ mountPath, readOnly }) => mountPath === '/tmp' && readOnly !== true),
  ),
  podRule('spread', 'replicas prefer different nodes', ({ spec, labels, replicas }) => {
    if (replicas < 2) return undefined;
    const nodes = (spec.topologySpreadConstraints ?? []).filter(
      ({ topologyKey }) => topologyKey === 'kubernetes.io/hostname',
    );
    return nodes.some(({ labelSelector }) => labelSelector !== undefined && selects(labelSelector, labels))
      ? undefined
      : 'does not spread';
  }),
  {
    id: 'rollout-keeps-capacity',
    guarantee: 'a rollout never takes a pod away before its successor is ready',
    check: ({ objects }) =>
      ofKind(objects, 'Deployment').flatMap((object) => {
        const { strategy } = specOf(object);
        return strategy?.type === 'RollingUpdate' && strategy.rollingUpdate?.maxUnavailable === 0
          ? []
          : [`${titleOf(object)}: loses capacity`];
      }),
  },
  {
    id: 'budget-exists',
    guarantee: 'what has replicas keeps one through a drain',
    check: ({ objects, pods }) =>
      pods
        .filter(({ replicas }) => replicas >= 2)
        .filter(
          ({ labels }) =>
            !ofKind(objects, 'PodDisruptionBudget').some((budget) => selects(specOf(budget).selector ?? {}, labels)),
        )
        .map(({ title }) => `${title}: has no disruption budget`),
  },
  {
    id: 'budget-lets-go',
    guarantee: 'no budget blocks a drain for ever',
    check: ({ objects, pods }) =>
      ofKind(objects, 'PodDisruptionBudget').flatMap((budget) => {
        const { selector = {}, minAvailable, maxUnavailable, unhealthyPodEvictionPolicy } = specOf(budget);
        const covered = pods.filter(({ labels, longRunning }) => longRunning && selects(selector, labels));
        const replicas = covered.reduce((sum, pod) => sum + pod.replicas, 0);
        const spare =
          maxUnavailable === undefined ? replicas - Number(minAvailable) : Math.min(Number(maxUnavailable), replicas);
        const fine =
          covered.length === 1 && replicas >= 2 && spare >= 1 && unhealthyPodEvictionPolicy === 'AlwaysAllow';
        return fine
          ? []
          : [`${titleOf(budget)}: ${spare} of ${replicas} pods may go, unhealthy ones: ${unhealthyPodEvictionPolicy}`];
      }),
  },
  {
    id: 'schedule-bounded',
    guarantee: 'scheduled jobs never overlap, start late for ever or run for ever',
    check: ({ objects }) =>
      ofKind(objects, 'CronJob').flatMap((object) => {
        const { concurrencyPolicy, startingDeadlineSeconds, timeZone, jobTemplate } = specOf(object);
        const fine =
          concurrencyPolicy === 'Forbid' &&
          (startingDeadlineSeconds ?? 0) > 0 &&
          timeZone === 'Etc/UTC' &&
          boundedJob(jobTemplate?.spec);
        return fine ? [] : [`${titleOf(object)}: is not bounded`];
      }),
  },
  {
    id: 'job-bounded',
    guarantee: 'jobs have a deadline, a number of attempts and an end of their record',
    check: ({ objects }) =>
      ofKind(objects, 'Job').flatMap((object) =>
        boundedJob(specOf(object)) ? [] : [`${titleOf(object)}: is not bounded`],
      ),
  },
  {
    id: 'data-retained',
    guarantee: 'deleting a StatefulSet keeps its volumes, which are of the declared storage class',
    check: ({ objects, config }) =>
      ofKind(objects, 'StatefulSet').flatMap((object) => {
        const { volumeClaimTemplates = [], persistentVolumeClaimRetentionPolicy } = specOf(object);
        const classes = volumeClaimTemplates.every(({ spec }) => spec?.storageClassName === config.storageClass.name);
        return classes && persistentVolumeClaimRetentionPolicy?.whenDeleted === 'Retain'
          ? []
          : [`${titleOf(object)}: its data may be lost or unencrypted`];
      }),
  },
];
