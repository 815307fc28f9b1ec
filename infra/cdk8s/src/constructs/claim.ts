/** Claims for persistent storage. */
import { Quantity } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { PersistentVolumeClaimSpec } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { DeploymentConfig } from '../config.ts';

/** A volume of the configured storage class that one node mounts at a time. */
export function claimSpec(config: DeploymentConfig, size: string): PersistentVolumeClaimSpec {
  return {
    accessModes: ['ReadWriteOnce'],
    storageClassName: config.storageClass.name,
    resources: { requests: { storage: Quantity.fromString(size) } },
  };
}
