/** Judges rendered objects by every rule. */
import type { DeploymentConfig } from '../config.ts';
import type { Manifest } from '../synth.ts';
import { KNOWN_FIELDS_RULE } from './known-fields.ts';
import { REFERENCE_RULES } from './reference-rules.ts';
import type { Rule } from './rule.ts';
import { RUNNING_RULES } from './running-rules.ts';
import { SECURITY_RULES } from './security-rules.ts';
import { TRAFFIC_RULES } from './traffic.ts';
import { viewRendering } from './view.ts';

export interface Finding {
  rule: string;
  finding: string;
}

/** Every rule, in the order of reporting. */
export const RULES: readonly Rule[] = [
  ...SECURITY_RULES,
  ...RUNNING_RULES,
  ...REFERENCE_RULES,
  ...TRAFFIC_RULES,
  KNOWN_FIELDS_RULE,
];

/** All violations; empty when every guarantee holds. Pure: the same objects give the same findings. */
export function lintManifests(objects: readonly Manifest[], config: DeploymentConfig): Finding[] {
  const rendering = viewRendering(objects, config);
  return RULES.flatMap(({ id, check }) => check(rendering).map((finding) => ({ rule: id, finding })));
}
