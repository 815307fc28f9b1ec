/** Security contexts that satisfy the Pod Security Standard "restricted", and a little more. */
import type { PodSecurityContext, SecurityContext } from 'cdk8s-plus-33/lib/imports/k8s.js';
import { RUN_AS } from '../names.ts';

/** Pod level: never root, one user and group of ours, volumes handed to that group, the runtime's system-call filter. */
export function podSecurity(): PodSecurityContext {
  return {
    runAsNonRoot: true,
    runAsUser: RUN_AS,
    runAsGroup: RUN_AS,
    fsGroup: RUN_AS,
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** Container level: no capability, no way to gain one, a root file system that cannot be written. */
export function containerSecurity(): SecurityContext {
  return {
    runAsNonRoot: true,
    runAsUser: RUN_AS,
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}
