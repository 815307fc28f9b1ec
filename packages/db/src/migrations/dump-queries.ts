/**
 * The catalogue queries behind the schema dump; each returns text that does not depend on object ids, the date or who
 * ran the bootstrap.
 */

/** Left out: system schemas, and whatever an extension owns or keeps for itself. */
const OURS = (oid: string, classid: string, namespace: string): string =>
  `${namespace}.nspname !~ '^(pg_|information_schema$|_?timescaledb)'
   and not exists (select from pg_depend d where d.classid = '${classid}'::regclass and d.objid = ${oid} and d.deptype = 'e')`;

/** An owner by name; superusers go by different names on different clusters. */
const OWNER = (oid: string): string =>
  `(select case when r.rolsuper then 'superuser' else r.rolname end from pg_roles r where r.oid = ${oid})`;

/**
 * Privileges beyond the owner's, one line per grantee: `select, insert to novax_api`. Missing means the built-in
 * default, spelled out.
 */
const GRANTS = (acl: string, kind: string, owner: string): string => `(
  select coalesce(array_agg(line order by line), '{}') from (
    select string_agg(lower(a.privilege_type) || case when a.is_grantable then ' with grant option' else '' end, ', ' order by a.privilege_type)
           || ' to ' || case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as line
      from aclexplode(coalesce(${acl}, acldefault('${kind}', ${owner}))) a
     where a.grantee <> ${owner} group by a.grantee) grants)`;

const RELATION = `from pg_class c join pg_namespace n on n.oid = c.relnamespace`;
const NAME = `format('%I.%I', n.nspname, c.relname)`;

export const SCHEMAS = `
  select quote_ident(n.nspname) as name, ${OWNER('n.nspowner')} as owner, obj_description(n.oid, 'pg_namespace') as comment,
         ${GRANTS('n.nspacl', 'n', 'n.nspowner')} as grants
    from pg_namespace n
   where ${OURS('n.oid', 'pg_namespace', 'n')}
   order by 1`;

/** Tables, views, materialized views and free-standing sequences. */
export const RELATIONS = `
  select c.oid::text as id, ${NAME} as name, c.relkind as kind, ${OWNER('c.relowner')} as owner, obj_description(c.oid, 'pg_class') as comment,
         c.relrowsecurity as rls, c.relforcerowsecurity as forced, coalesce(c.reloptions, '{}') as options,
         case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end as definition,
         case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end as partition_key,
         case when c.relispartition then pg_get_expr(c.relpartbound, c.oid) end as bound,
         (select format('%I.%I', pn.nspname, p.relname) from pg_inherits i join pg_class p on p.oid = i.inhparent
            join pg_namespace pn on pn.oid = p.relnamespace where i.inhrelid = c.oid) as parent,
         (select format('%s%s start %s increment %s', format_type(s.seqtypid, null), case when s.seqcycle then ' cycle' else '' end, s.seqstart, s.seqincrement)
            from pg_sequence s where s.seqrelid = c.oid) as sequence,
         ${GRANTS('c.relacl', 'r', 'c.relowner')} as grants
    ${RELATION}
   where c.relkind in ('r', 'p', 'v', 'm', 'S') and ${OURS('c.oid', 'pg_class', 'n')}
     and not (c.relkind = 'S' and exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i'))
   order by n.nspname, c.relname`;

export const COLUMNS = `
  select c.oid::text as id, format('%I %s%s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attcollation <> t.typcollation then ' collate ' || a.attcollation::regcollation else '' end,
           case when a.attstorage <> t.typstorage then ' storage ' || case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end
                else '' end,
           case when a.attgenerated = 's' then format(' generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
                when a.attidentity <> '' then format(' generated %s as identity', case a.attidentity when 'a' then 'always' else 'by default' end)
                when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end,
           case when a.attnotnull then ' not null' else '' end) as line,
         quote_ident(a.attname) as column, col_description(c.oid, a.attnum) as comment,
         (select coalesce(array_agg(line order by line), '{}') from (
            select string_agg(format('%s (%I)', lower(x.privilege_type), a.attname), ', ' order by x.privilege_type)
                   || ' to ' || case when x.grantee = 0 then 'public' else x.grantee::regrole::text end as line
              from aclexplode(a.attacl) x group by x.grantee) grants) as grants
    ${RELATION} join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where c.relkind in ('r', 'p', 'v', 'm') and ${OURS('c.oid', 'pg_class', 'n')}
   order by c.oid, a.attnum`;

/**
 * Constraints a person wrote: not those PostgreSQL copies onto partitions, nor the not-null ones newer servers list.
 */
export const CONSTRAINTS = `
  select c.oid::text as id, format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid))
           || case when k.convalidated then '' else ' /* not validated */' end as line, obj_description(k.oid, 'pg_constraint') as comment
    ${RELATION} join pg_constraint k on k.conrelid = c.oid
   where k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0 and k.conislocal and ${OURS('c.oid', 'pg_class', 'n')}
   order by c.oid, array_position('{p,u,x,f,c}'::text[], k.contype::text), k.conname`;

export const INDEXES = `
  select c.oid::text as id, pg_get_indexdef(x.indexrelid) || case when x.indisvalid then '' else ' /* invalid */' end as line,
         obj_description(x.indexrelid, 'pg_class') as comment
    ${RELATION} join pg_index x on x.indrelid = c.oid join pg_class i on i.oid = x.indexrelid
   where not exists (select from pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x'))
     and not i.relispartition and ${OURS('c.oid', 'pg_class', 'n')}
   order by c.oid, i.relname`;

export const TRIGGERS = `
  select c.oid::text as id, pg_get_triggerdef(g.oid) || case g.tgenabled when 'O' then '' else format(' /* %s */', g.tgenabled) end as line
    ${RELATION} join pg_trigger g on g.tgrelid = c.oid
   where not g.tgisinternal and g.tgparentid = 0 and ${OURS('c.oid', 'pg_class', 'n')}
   order by c.oid, g.tgname`;

export const POLICIES = `
  select c.oid::text as id, format('create policy %I on %s as %s for %s to %s%s%s', p.polname, ${NAME},
           case when p.polpermissive then 'permissive' else 'restrictive' end,
           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
           (select string_agg(case when r = 0 then 'public' else r::regrole::text end, ', ' order by r::regrole::text) from unnest(p.polroles) r),
           E'\\n  using (' || pg_get_expr(p.polqual, c.oid) || ')', E'\\n  with check (' || pg_get_expr(p.polwithcheck, c.oid) || ')') as line
    ${RELATION} join pg_policy p on p.polrelid = c.oid
   where ${OURS('c.oid', 'pg_class', 'n')}
   order by c.oid, p.polname`;

export const FUNCTIONS = `
  select format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) as name, f.prokind as kind, ${OWNER('f.proowner')} as owner,
         pg_get_functiondef(f.oid) as definition, obj_description(f.oid, 'pg_proc') as comment, ${GRANTS('f.proacl', 'f', 'f.proowner')} as grants
    from pg_proc f join pg_namespace n on n.oid = f.pronamespace
   where f.prokind in ('f', 'p') and ${OURS('f.oid', 'pg_proc', 'n')}
   order by 1`;

export const DOMAINS = `
  select format('create domain %I.%I as %s%s%s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod), case when t.typnotnull then ' not null' else '' end,
           (select string_agg(' ' || pg_get_constraintdef(k.oid), '' order by k.conname) from pg_constraint k where k.contypid = t.oid)) as line
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
   where t.typtype = 'd' and ${OURS('t.oid', 'pg_type', 'n')}
   order by 1`;

export const DEFAULT_PRIVILEGES = `
  select format('alter default privileges for role %s%s on %s: %s', d.defaclrole::regrole, coalesce(' in schema ' || nullif(d.defaclnamespace, 0)::regnamespace, ''),
           case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end,
           (select string_agg(lower(a.privilege_type) || ' to ' || case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', '
                   order by a.grantee::regrole::text, a.privilege_type) from aclexplode(d.defaclacl) a)) as line
    from pg_default_acl d
   order by 1`;
