/** Runs every schema rule against a live database and sets aside what the allow-list names with a reason. */
import type { ClientBase } from 'pg';
import { ALLOWED, type Allowance } from './allow-list.ts';
import { INTEGRITY_RULES } from './integrity-rules.ts';
import { NAMING_RULES } from './naming-rules.ts';
import type { Rule } from './rule.ts';
import { SECURITY_RULES } from './security-rules.ts';

export interface Finding {
  rule: string;
  /** Qualified name of what breaks the rule. */
  object: string;
  detail: string;
  why: string;
}

export const RULES: readonly Rule[] = [...NAMING_RULES, ...INTEGRITY_RULES, ...SECURITY_RULES];

/**
 * Every breach that no allowance covers, in the order of the rules; empty on a good schema. An allowance that covers
 * nothing is a finding of the rule `stale-allowance`, so that the list cannot outlive its reasons. Reads catalogues
 * only; any role may run it.
 */
export async function lintSchema(client: ClientBase, allowed: readonly Allowance[] = ALLOWED): Promise<Finding[]> {
  const findings: Finding[] = [];
  const used = new Set<Allowance>();
  for (const rule of RULES) {
    const { rows } = await client.query<{ object: string; detail: string }>(rule.sql);
    for (const { object, detail } of rows) {
      const covering = allowed.filter((entry) => covers(entry.rule, rule.name) && covers(entry.object, object));
      covering.forEach((entry) => used.add(entry));
      if (covering.length === 0) findings.push({ rule: rule.name, object, detail, why: rule.why });
    }
  }
  for (const entry of allowed.filter((candidate) => !used.has(candidate))) {
    findings.push({
      rule: 'stale-allowance',
      object: entry.object,
      detail: `covers no breach of ${entry.rule}`,
      why: 'an allowance ends with its reason',
    });
  }
  return findings;
}

/** A pattern is a name in which `*` stands for any part. */
function covers(pattern: string, name: string): boolean {
  const expression = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${expression}$`).test(name);
}
