/** Conventions of names and standard columns, which let a person or a model guess the schema right. */
import { CATALOGUE, type Rule } from './rule.ts';

const SNAKE_CASE = '^[a-z][a-z0-9]*(_[a-z0-9]+)*$';
const SINGULAR = (name: string): string => `regexp_replace(regexp_replace(${name}, 'ies$', 'y'), 's$', '')`;

export const NAMING_RULES: readonly Rule[] = [
  {
    name: 'table-name',
    why: 'tables are snake_case, so that nobody needs quotes; a monthly partition is {parent}_YYYY_MM, other partitions snake_case too',
    sql: `${CATALOGUE} select object, 'not snake_case' as detail from relations where kind in ('r', 'p', 'v', 'm') and name !~ '${SNAKE_CASE}'`,
  },
  {
    name: 'table-plural',
    why: 'tables are named in the plural',
    sql: `${CATALOGUE} select object, 'not a plural' as detail from tables where not is_partition and name !~ 's$'`,
  },
  {
    name: 'column-name',
    why: 'columns are snake_case, so that nobody needs quotes',
    sql: `${CATALOGUE} select object || '.' || "column" as object, 'not snake_case' as detail from columns where not is_partition and "column" !~ '${SNAKE_CASE}'`,
  },
  {
    name: 'foreign-key-name',
    why: 'a foreign key to an id is named {singular}_id, one to any other column like that column',
    sql: `${CATALOGUE}
      select f.object || '.' || a.attname as object, format('references %s (%s)', f.confrelid::regclass, r.attname) as detail
        from foreign_keys f join pg_class target on target.oid = f.confrelid,
             unnest(f.conkey, f.confkey) as pair (own, other)
        join pg_attribute a on a.attnum = pair.own join pg_attribute r on r.attnum = pair.other
       where not f.is_partition and a.attrelid = f.oid and r.attrelid = f.confrelid
         and a.attname <> case when r.attname = 'id' then ${SINGULAR('target.relname')} || '_id' else r.attname end`,
  },
  {
    name: 'index-name',
    why: 'an index is named idx_{table}_{columns}, with a word more where it is partial, so that a plan can be read without the schema',
    sql: `${CATALOGUE}
      select format('%I.%I', t.schema, i.relname) as object, 'expected ' || e.expected as detail
        from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid,
             lateral (select left('idx_' || t.name || coalesce('_' || string_agg(a.attname, '_' order by k.place), ''), 63) as expected
                        from unnest(x.indkey) with ordinality k (attnum, place)
                        join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum and k.place <= x.indnkeyatts) e
       where not t.is_partition and not exists (select from pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x'))
         and case when x.indexprs is null then i.relname <> e.expected and not (x.indpred is not null and starts_with(i.relname, e.expected || '_'))
                  else not starts_with(i.relname, 'idx_' || t.name || '_') end`,
  },
  {
    name: 'standard-id',
    why: 'a table has an id uuid in its primary key',
    sql: `${CATALOGUE}
      select object, 'no id uuid in the primary key' as detail from tables t
       where not is_partition and not exists (
         select from columns c join pg_constraint k on k.conrelid = c.oid and k.contype = 'p' and c.attnum = any (k.conkey)
          where c.oid = t.oid and c.column = 'id' and c.type = 'uuid'::regtype)`,
  },
  {
    name: 'standard-created-at',
    why: 'a table has created_at timestamptz NOT NULL DEFAULT now()',
    sql: `${CATALOGUE}
      select object, 'no created_at timestamptz not null default now()' as detail from tables t
       where not is_partition and not exists (
         select from columns c where c.oid = t.oid and c.column = 'created_at' and c.type = 'timestamptz'::regtype and c.required and c.default_value = 'now()')`,
  },
  {
    name: 'standard-updated-at',
    why: 'a table that changes has updated_at, kept by a trigger and never by the writer',
    sql: `${CATALOGUE}
      select object, case when exists (select from columns c where c.oid = t.oid and c.column = 'updated_at') then 'updated_at has no trigger' else 'no updated_at' end as detail
        from tables t
       where not is_partition and not exists (
         select from columns c join pg_trigger g on g.tgrelid = c.oid and not g.tgisinternal and g.tgtype & 18 = 18
           join pg_proc f on f.oid = g.tgfoid and f.proname = 'set_updated_at'
          where c.oid = t.oid and c.column = 'updated_at' and c.type = 'timestamptz'::regtype and c.required)`,
  },
  {
    name: 'closed-set-check',
    why: 'status, role, priority, action and the like are varchar with a CHECK of their values',
    sql: `${CATALOGUE}
      select object || '.' || "column" as object, 'no CHECK' as detail from columns c
       where not is_partition and "column" in ('status', 'role', 'priority', 'action', 'source_type', 'actor_type', 'kind')
         and not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c' and c.attnum = any (k.conkey))
         and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = c.attnum and a.attgenerated <> '')`,
  },
  {
    name: 'ai-column',
    why: 'ai_context, ai_summary and ai_metadata are jsonb with a comment saying what they mean, because models read the schema',
    sql: `${CATALOGUE}
      select object || '.' || "column" as object, case when type <> 'jsonb'::regtype then 'not jsonb' else 'no comment' end as detail from columns
       where not is_partition and "column" in ('ai_context', 'ai_summary', 'ai_metadata')
         and (type <> 'jsonb'::regtype or col_description(oid, attnum) is null)`,
  },
  {
    name: 'table-comment',
    why: 'every table says what it is for, because models read the schema',
    sql: `${CATALOGUE} select object, 'no comment' as detail from tables where not is_partition and obj_description(oid, 'pg_class') is null`,
  },
  {
    name: 'instant-type',
    why: 'an instant is timestamptz; a timestamp without zone means another instant on another server',
    sql: `${CATALOGUE} select object || '.' || "column" as object, 'timestamp without time zone' as detail from columns where type = 'timestamp'::regtype`,
  },
  {
    name: 'no-enum',
    why: '= on an enum is not leakproof, so under row-level security its index is not used; and values cannot be taken back',
    sql: `select t.typname as object, 'enum type' as detail from pg_type t join pg_namespace n on n.oid = t.typnamespace
           where t.typtype = 'e' and n.nspname !~ '^(pg_|information_schema$|_?timescaledb)'`,
  },
];
