/**
 * Writes the whole schema as deterministic text from the catalogues, so that two databases can be compared and a
 * reviewer sees every change.
 */
import { Client, escapeLiteral } from 'pg';
import * as queries from './dump-queries.ts';

interface Relation {
  id: string;
  name: string;
  kind: 'r' | 'p' | 'v' | 'm' | 'S';
  owner: string;
  comment: string | null;
  rls: boolean;
  forced: boolean;
  options: string[];
  definition: string | null;
  partition_key: string | null;
  bound: string | null;
  parent: string | null;
  sequence: string | null;
  grants: string[];
}

interface Line {
  id: string;
  line: string;
  comment?: string | null;
}

interface Column extends Line {
  column: string;
  grants: string[];
}

interface Described {
  name: string;
  owner: string;
  comment: string | null;
  grants: string[];
}

interface Routine extends Described {
  kind: 'f' | 'p';
  definition: string;
}

/** Monthly partitions are named `{parent}_YYYY_MM`; how many there are depends on the day the database was made. */
const MONTH = /_\d{4}_\d{2}(?=\b|")/g;
/** This month and three ahead. */
const LEAST_MONTHS = 4;

/**
 * The schema of the database at `url` as text: schemas, tables, constraints, indexes, triggers, policies, grants,
 * views, functions, comments, owners. Equal schemas give equal text on every day and cluster of one PostgreSQL major
 * version. Needs to read the catalogues, nothing else.
 */
export async function dumpSchema(url: string): Promise<string> {
  const client = new Client({ connectionString: url, application_name: 'novax-schema-dump' });
  await client.connect();
  try {
    await client.query('begin transaction isolation level repeatable read read only');
    // With only pg_catalog on the path every other name comes out qualified.
    await client.query("set local search_path = pg_catalog; set local timezone = 'UTC'");
    const rows = async <T extends object>(sql: string): Promise<T[]> => (await client.query<T>(sql)).rows;
    const schemas = await rows<Described>(queries.SCHEMAS);
    const domains = await rows<Line>(queries.DOMAINS);
    const routines = await rows<Routine>(queries.FUNCTIONS);
    const relations = await rows<Relation>(queries.RELATIONS);
    const details = {
      columns: byRelation(await rows<Column>(queries.COLUMNS)),
      constraints: byRelation(await rows<Line>(queries.CONSTRAINTS)),
      indexes: byRelation(await rows<Line>(queries.INDEXES)),
      triggers: byRelation(await rows<Line>(queries.TRIGGERS)),
      policies: byRelation(await rows<Line>(queries.POLICIES)),
    };
    const defaults = await rows<Line>(queries.DEFAULT_PRIVILEGES);
    return [
      '-- The schema as the migrations leave it: generated from the catalogues, compared by a test, never edited and never run.',
      ...schemas.map((schema) => [`create schema ${schema.name};`, ...described(schema, 'schema')].join('\n')),
      ...domains.map(({ line }) => `${line};`),
      ...relations.filter((r) => r.parent === null).map((r) => describeRelation(r, relations, details)),
      ...routines.map((routine) =>
        [
          `${routine.definition.trimEnd()};`,
          ...described(routine, routine.kind === 'p' ? 'procedure' : 'function'),
        ].join('\n'),
      ),
      defaults.map(({ line }) => `-- ${line}`).join('\n'),
      '',
    ]
      .join('\n\n')
      .trimEnd()
      .concat('\n');
  } finally {
    await client.end();
  }
}

interface Details {
  columns: Map<string, Column[]>;
  constraints: Map<string, Line[]>;
  indexes: Map<string, Line[]>;
  triggers: Map<string, Line[]>;
  policies: Map<string, Line[]>;
}

function byRelation<T extends { id: string }>(rows: T[]): Map<string, T[]> {
  return Map.groupBy(rows, (row) => row.id);
}

function described(object: Described, kind: string): string[] {
  const lines = [`alter ${kind} ${object.name} owner to ${object.owner};`];
  if (object.comment !== null) lines.push(`comment on ${kind} ${object.name} is ${escapeLiteral(object.comment)};`);
  for (const grant of object.grants) lines.push(`grant ${onObject(grant, `${kind} ${object.name}`)};`);
  return lines;
}

/** `select to novax_api` → `select on table x to novax_api`. */
function onObject(grant: string, target: string): string {
  return grant.replace(/ to (?=[^ ]+$)/, ` on ${target} to `);
}

const KINDS = { r: 'table', p: 'table', v: 'view', m: 'materialized view', S: 'sequence' } as const;

function describeRelation(relation: Relation, all: Relation[], details: Details): string {
  const kind = KINDS[relation.kind];
  const of = <T>(map: Map<string, T[]>): T[] => map.get(relation.id) ?? [];
  const columns = of(details.columns);
  const body = [...columns, ...of(details.constraints)].map(({ line }) => `  ${line}`).join(',\n');
  const options = relation.options.length > 0 ? ` with (${relation.options.join(', ')})` : '';
  const lines: string[] = [];
  if (relation.definition !== null) lines.push(`create ${kind} ${relation.name}${options} as\n${relation.definition}`);
  else if (relation.kind === 'S') lines.push(`create sequence ${relation.name} as ${relation.sequence ?? ''};`);
  else
    lines.push(
      `create table ${relation.name} (\n${body}\n)${relation.partition_key ? ` partition by ${relation.partition_key}` : ''}${options};`,
    );
  lines.push(...described(relation, kind));
  if (relation.rls) lines.push(`alter table ${relation.name} enable row level security;`);
  if (relation.forced) lines.push(`alter table ${relation.name} force row level security;`);
  for (const { column, comment, grants } of columns) {
    if (comment !== null && comment !== undefined)
      lines.push(`comment on column ${relation.name}.${column} is ${escapeLiteral(comment)};`);
    for (const grant of grants) lines.push(`grant ${onObject(grant, relation.name)};`);
  }
  for (const { line, comment } of of(details.indexes)) lines.push(`${line};${comment ? ` -- ${comment}` : ''}`);
  for (const part of [details.triggers, details.policies]) for (const { line } of of(part)) lines.push(`${line};`);
  lines.push(...describePartitions(relation, all, details));
  return lines.join('\n');
}

/** Partitions as one line each, with what they have of their own; months that are alike as one line for all of them. */
function describePartitions(parent: Relation, all: Relation[], details: Details): string[] {
  const lines: string[] = [];
  const months = new Map<string, number>();
  for (const child of all.filter((relation) => relation.parent === parent.name)) {
    const own = [details.constraints, details.indexes, details.triggers, details.policies].flatMap((map) =>
      (map.get(child.id) ?? []).map(({ line }) => line),
    );
    const facts = [
      `owner ${child.owner}`,
      child.rls ? (child.forced ? 'row security forced' : 'row security enabled') : 'no row security',
      ...child.options,
      ...(child.partition_key ? [`partition by ${child.partition_key}`] : []),
      ...child.grants.map((grant) => `grant ${grant}`),
      ...own,
    ].join('; ');
    const nested = describePartitions(child, all, details).map((line) => line.replace(/^--/, '--  '));
    if (child.name.replace(MONTH, '') !== child.name) {
      const line = `${facts.replace(MONTH, '_YYYY_MM')}${nested.join(' ')}`;
      months.set(line, (months.get(line) ?? 0) + 1);
    } else {
      lines.push(`-- partition ${child.name} ${child.bound ?? ''}; ${facts}`, ...nested);
    }
  }
  for (const [facts, count] of months) {
    lines.push(
      `-- monthly partitions ${parent.name}_YYYY_MM, ${count >= LEAST_MONTHS ? `at least ${LEAST_MONTHS}` : `only ${count}`}; ${facts}`,
    );
  }
  return lines;
}
