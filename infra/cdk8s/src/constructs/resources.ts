/** Requests and limits as Kubernetes writes them. */
import { Quantity } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { ResourceRequirements } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Resources } from '../config.ts';

type Amounts = Resources['requests'];

const quantities = (amounts: Amounts): Record<string, Quantity> => ({
  'cpu': Quantity.fromString(amounts.cpu),
  'memory': Quantity.fromString(amounts.memory),
  'ephemeral-storage': Quantity.fromString(amounts.ephemeralStorage),
});

/** CPU, memory and ephemeral storage, each with a request and a limit. */
export function resourceRequirements(resources: Resources): ResourceRequirements {
  return { requests: quantities(resources.requests), limits: quantities(resources.limits) };
}
