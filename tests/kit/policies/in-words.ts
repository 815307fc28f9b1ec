/** Puts what probing found into the words of the table of roles: `select:viewer`, `insert:member&self`, `update:org`. */
import type { ProbedTable } from './fixture.ts';
import { type Command, COMMANDS, type Outcome, type Prober } from './probe.ts';

type Found = Readonly<Record<string, Outcome>>;
const ROLES = ['viewer', 'member', 'admin', 'owner'] as const;

/** Everything a role may do to a table, such as `select:org delete:org`; '' when every command is denied. */
export async function rightsInWords(prober: Prober, role: string, table: ProbedTable): Promise<string> {
  const words: string[] = [];
  for (const command of COMMANDS) {
    const found = await prober.outcomes(role, table, command);
    const reach = inWords(role, table, { command, found });
    if (reach !== '') words.push(`${command}:${reach}`);
  }
  return words.join(' ');
}

/**
 * How far one command reaches. For the API: the least role in the organization, `self` (one's own rows), `&self` (in
 * one's own name only). For the others: `org` (of app.current_org_id), `org|none` (and what is nobody's while it is not
 * set). For all: `all`, `nothing` (granted, without a row to see), or the figures as they are.
 */
function inWords(role: string, table: ProbedTable, probed: { command: Command; found: Found }): string {
  const { command, found } = probed;
  const outcomes = Object.values(found);
  if (outcomes.every((outcome) => outcome === 'denied')) return '';
  const asFound = (): string =>
    Object.entries(found)
      .map(([name, outcome]) => `${name}=${outcome}`)
      .join(',');
  if (command === 'insert') return insertInWords(role, found) ?? asFound();
  if (outcomes.some((outcome) => outcome === 'denied' || outcome === 'checked')) return asFound();
  const { a, b, all } = table.count;
  const rows = Object.fromEntries(Object.entries(found).map(([name, outcome]) => [name, countOf(outcome)]));
  // Foreign letters among one's own would have the right count and be wrong all the same.
  const mixed =
    outcomes.some((outcome) => /A.*[BN]|B.*N/.test(outcome)) && !outcomes.every((outcome) => countOf(outcome) === all);
  if (mixed) return asFound();
  if (Object.values(rows).every((n) => n === all)) return 'all';
  if (Object.values(rows).every((n) => n === 0)) return 'nothing';
  if (role !== 'novax_api') {
    if (rows['in A'] !== a || rows['in B'] !== b) return asFound();
    if (rows['nobody'] === 0) return 'org';
    return rows['nobody'] === all - a - b ? 'org|none' : asFound();
  }
  if (rows['nobody'] !== 0) return asFound();
  const members = ROLES.map((name) => rows[name] ?? 0);
  if (table.personColumn !== '' && rows['outsider'] === 1 && members.every((n) => n === 1)) return 'self';
  if (rows['outsider'] !== b) return asFound();
  const least = ROLES.find((name) => rows[name] === a);
  const clear = members.every((n, at) => n === (least !== undefined && at >= ROLES.indexOf(least) ? a : 0));
  // Some of the rows: how many each role reaches of the four people's.
  return clear && least !== undefined ? least : members.join('/');
}

function insertInWords(role: string, found: Found): string | undefined {
  const passed = (name: string): boolean => /^(\d+|passed)$/.test(found[name] ?? '');
  if (Object.keys(found).every(passed)) return 'all';
  if (passed('uncalled')) return undefined;
  if (role !== 'novax_api') {
    if (!passed('own') || passed('foreign')) return undefined;
    return passed('platform') ? 'org|none' : 'org';
  }
  const inOwnName = passed('other') ? '' : '&self';
  if (passed('foreign')) return passed('other') ? undefined : 'self';
  if (passed('outsider')) return `org${inOwnName}`;
  const least = ROLES.findIndex(passed);
  if (least < 0 || !ROLES.slice(least).every(passed)) return undefined;
  return `${ROLES[least]}${inOwnName}`;
}

/** `AAB` and `3` are both three rows. */
function countOf(outcome: Outcome): number {
  return /^\d+$/.test(outcome) ? Number(outcome) : outcome.length;
}
