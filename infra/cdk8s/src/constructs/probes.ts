/** Probes: start-up gives time, liveness restarts only what hangs, readiness takes traffic away; the last two never ask the same. */
import { IntOrString } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Container, Probe } from 'cdk8s-plus-33/lib/imports/k8s.js';

type Check = Pick<Probe, 'httpGet' | 'exec' | 'tcpSocket'>;
export type Probes = Required<Pick<Container, 'startupProbe' | 'livenessProbe' | 'readinessProbe'>>;

/** Asks a path on a named port over HTTP. */
export function httpCheck(path: string, port: string): Check {
  return { httpGet: { path, port: IntOrString.fromString(port) } };
}

/** Runs a command in the container. */
export function execCheck(...command: string[]): Check {
  return { exec: { command } };
}

/** Opens a connection to a named port. */
export function tcpCheck(port: string): Check {
  return { tcpSocket: { port: IntOrString.fromString(port) } };
}

/**
 * The three probes of a container. `startSeconds` is how long it may take to come up (checked every 5 s); afterwards liveness gives up
 * after 3 failures in 60 s, readiness after 2 in 10 s. A dependency that is down must fail `ready` only.
 */
export function probes(checks: { alive: Check; ready: Check; startSeconds: number }): Probes {
  return {
    startupProbe: {
      ...checks.alive,
      periodSeconds: 5,
      timeoutSeconds: 5,
      failureThreshold: Math.ceil(checks.startSeconds / 5),
    },
    livenessProbe: { ...checks.alive, periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 3 },
    readinessProbe: { ...checks.ready, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 2 },
  };
}
