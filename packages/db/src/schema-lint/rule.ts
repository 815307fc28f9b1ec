/** What a schema rule is, and the SQL fragments that the rules share. */

/** One rule: `sql` returns `object` and `detail` for every breach, and nothing on a good schema. */
export interface Rule {
  name: string;
  why: string;
  sql: string;
}

/** Roles that serve requests or jobs; none of them may own, bypass or see more than its policies say. */
export const RUNTIME_ROLES = ['novax_api', 'novax_worker', 'ai_agent_role', 'novax_ai', 'novax_readonly'] as const;

const literals = (values: readonly string[]): string => values.map((value) => `'${value}'`).join(', ');
export const RUNTIME = `(${literals(RUNTIME_ROLES)})`;

/** Schemas of the application; `n` is the pg_namespace row. */
export const OUR_SCHEMA = `n.nspname !~ '^(pg_|information_schema$|_?timescaledb)'`;

const NOT_OF_AN_EXTENSION = (classid: string, oid: string): string =>
  `not exists (select from pg_depend e where e.classid = '${classid}'::regclass and e.objid = ${oid} and e.deptype = 'e')`;

/**
 * `with` clause giving `tables` (every ordinary and partitioned table, partitions included) and `relations` (views and
 * the rest too).
 */
export const CATALOGUE = `
  with relations as (
    select c.oid, c.relname as name, n.nspname as schema, format('%I.%I', n.nspname, c.relname) as object, c.relkind as kind,
           c.relispartition as is_partition, c.relrowsecurity as rls, c.relforcerowsecurity as forced, c.relacl as acl, c.relowner as owner,
           coalesce(c.reloptions, '{}') as options
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where ${OUR_SCHEMA} and ${NOT_OF_AN_EXTENSION('pg_class', 'c.oid')}
  ), tables as (select * from relations where kind in ('r', 'p')),
  columns as (
    select t.*, a.attname as column, a.attnum, a.atttypid as type, a.attnotnull as required, pg_get_expr(d.adbin, d.adrelid) as default_value
      from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
  ), foreign_keys as (
    select t.*, k.conname, k.conkey, k.confkey, k.confrelid
      from tables t join pg_constraint k on k.conrelid = t.oid and k.contype = 'f' and k.conparentid = 0
  ), policies as (
    select t.*, p.oid as policy, p.polname, p.polcmd, p.polroles, p.polqual is not null as has_using, p.polwithcheck is not null as has_check,
           pg_get_expr(p.polqual, t.oid) as using_text, pg_get_expr(p.polwithcheck, t.oid) as check_text,
           concat_ws(' ', pg_get_expr(p.polqual, t.oid), pg_get_expr(p.polwithcheck, t.oid)) as text
      from tables t join pg_policy p on p.polrelid = t.oid
  ), grants as (
    select r.oid, x.grantee, x.privilege_type as privilege from relations r, aclexplode(r.acl) x
    union
    select r.oid, x.grantee, x.privilege_type from relations r join pg_attribute a on a.attrelid = r.oid, aclexplode(a.attacl) x
  ), functions as (
    select f.oid, format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) as object, f.prosecdef as definer,
           f.proowner as owner, coalesce(f.proconfig, '{}') as config, coalesce(f.proacl, acldefault('f', f.proowner)) as acl
      from pg_proc f join pg_namespace n on n.oid = f.pronamespace
     where ${OUR_SCHEMA} and ${NOT_OF_AN_EXTENSION('pg_proc', 'f.oid')}
  )`;
