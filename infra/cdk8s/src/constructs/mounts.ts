/** Volumes together with their mounts, so that neither is declared without the other. */
import { Quantity } from 'cdk8s-plus-33/lib/imports/k8s.js';
import type { Volume, VolumeMount } from 'cdk8s-plus-33/lib/imports/k8s.js';
import { secretOf } from '../secrets.ts';
import type { SecretKeyName } from '../secrets.ts';

export interface Mounted {
  /** Absent when the volume comes from a StatefulSet's claim template. */
  volume?: Volume;
  mount: VolumeMount;
}

/** Where the keys of Secrets appear as files. */
export const SECRETS_PATH = '/run/secrets/novax';

// Group-readable and nothing more: the files belong to root, the pod's fsGroup reads them.
const GROUP_READABLE = 0o440;

/** A folder that lives as long as the pod and may not outgrow `size`. */
export function scratch(name: string, path: string, options: { size: string; memory?: boolean }): Mounted {
  const medium = options.memory === true ? { medium: 'Memory' } : {};
  return {
    volume: { name, emptyDir: { sizeLimit: Quantity.fromString(options.size), ...medium } },
    mount: { name, mountPath: path },
  };
}

/** The named keys of the declared Secrets as read-only files of the same names under `SECRETS_PATH`. */
export function secretFiles(keys: readonly SecretKeyName[]): Mounted {
  const secrets = [...new Set(keys.map(secretOf))].toSorted();
  const sources = secrets.map((name) => ({
    secret: { name, items: keys.filter((key) => secretOf(key) === name).map((key) => ({ key, path: key })) },
  }));
  return {
    volume: { name: 'secrets', projected: { defaultMode: GROUP_READABLE, sources } },
    mount: { name: 'secrets', mountPath: SECRETS_PATH, readOnly: true },
  };
}

/** Every key of a ConfigMap as a read-only file. */
export function configFiles(configMap: string, path: string): Mounted {
  return {
    volume: { name: 'config', configMap: { name: configMap, defaultMode: 0o555 } },
    mount: { name: 'config', mountPath: path, readOnly: true },
  };
}

/** The volume of a StatefulSet's claim template. */
export function claimed(name: string, path: string): Mounted {
  return { mount: { name, mountPath: path } };
}

/** A PersistentVolumeClaim rendered elsewhere. */
export function persistent(name: string, path: string, claimName: string): Mounted {
  return { volume: { name, persistentVolumeClaim: { claimName } }, mount: { name, mountPath: path } };
}
