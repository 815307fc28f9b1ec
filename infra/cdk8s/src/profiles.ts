/** Which deployment profiles can be rendered, and where their shipped configuration lies. */
import { fileURLToPath } from 'node:url';

/** `small`: one instance of each data service, two of each application process. */
export const PROFILES = ['small'] as const;

export type Profile = (typeof PROFILES)[number];

/** Narrows text to a profile that can be rendered. */
export function isProfile(text: string): text is Profile {
  return PROFILES.some((profile) => profile === text);
}

/** Path of the configuration file shipped for a profile. */
export function environmentFile(profile: Profile): string {
  return fileURLToPath(new URL(`../environments/${profile}.yaml`, import.meta.url));
}
