/**
 * Who may see what: row-level security, grants, definers and owners. A number beside a rule is that of the lint of
 * Supabase's splinter which asks the same.
 */
import { CATALOGUE, OUR_SCHEMA, type Rule, RUNTIME } from './rule.ts';

/** `true`, or an equality of one literal with itself, as PostgreSQL prints it. */
const ALWAYS = String.raw`^\(*(true|([\w'']+) = \2)\)*$`;
const COMMAND = `case g.privilege when 'SELECT' then 'r' when 'INSERT' then 'a' when 'UPDATE' then 'w' when 'DELETE' then 'd' end`;

export const SECURITY_RULES: readonly Rule[] = [
  // splinter 0013, for the rows of tenants and people.
  {
    name: 'tenant-rls',
    why: 'every row of an organization or a person is behind row-level security that binds the owner too; partitions do not inherit it',
    sql: `${CATALOGUE}
      select object, case when rls then 'not forced' else 'not enabled' end as detail from tables t
       where not (rls and forced) and (t.name in ('users', 'organizations') or exists (
         select from columns c where c.oid = t.oid and c.column in ('org_id', 'user_id')))`,
  },
  // splinter 0013, whoever holds a grant.
  {
    name: 'rls-disabled',
    why: 'a table without row-level security is one grant away from being everybody’s',
    sql: `${CATALOGUE}
      select object, case when rls then 'not forced' else 'not enabled' end as detail from tables where not (rls and forced)`,
  },
  // splinter 0013, for what a runtime role may touch.
  {
    name: 'granted-without-rls',
    why: 'a table that a runtime role may touch has row-level security, or is global on purpose',
    sql: `${CATALOGUE}
      select t.object, string_agg(distinct format('%s to %s', lower(g.privilege), g.grantee::regrole), ', ') as detail
        from tables t join grants g on g.oid = t.oid where not t.rls and g.grantee::regrole::text in ${RUNTIME} group by t.object`,
  },
  {
    name: 'grant-without-policy',
    why: 'a granted command without a policy reads or changes nothing, silently',
    sql: `${CATALOGUE}
      select t.object, format('%s is granted to %s, but no policy lets it', lower(g.privilege), g.grantee::regrole) as detail
        from tables t join grants g on g.oid = t.oid
       where t.rls and g.grantee::regrole::text in ${RUNTIME} and ${COMMAND} is not null
         and not exists (select from policies p where p.oid = t.oid and p.polcmd in (${COMMAND}, '*') and (g.grantee = any (p.polroles) or 0 = any (p.polroles)))`,
  },
  {
    name: 'policy-without-grant',
    why: 'a policy for a command that its role does not hold is a promise nobody keeps',
    sql: `${CATALOGUE}
      select p.object || '.' || p.polname as object, format('%s holds no such privilege', r::regrole) as detail
        from policies p, unnest(p.polroles) r
       where r <> 0 and p.polcmd <> '*' and not exists (select from grants g where g.oid = p.oid and g.grantee = r and ${COMMAND} = p.polcmd)`,
  },
  // splinter 0007.
  {
    name: 'policy-without-rls',
    why: 'policies of a table whose row-level security is off do nothing',
    sql: `${CATALOGUE} select distinct object, 'policies exist, row-level security is off' as detail from policies where not rls`,
  },
  // splinter 0008.
  {
    name: 'rls-without-policy',
    why: 'a table with row-level security and no policy at all is closed to everyone, which is seldom meant',
    sql: `${CATALOGUE}
      select object, 'no policy' as detail from tables t where rls and not is_partition and not exists (select from policies p where p.oid = t.oid)`,
  },
  {
    name: 'policy-per-command',
    why: 'one policy for ALL with USING alone lets whoever may read also write',
    sql: `${CATALOGUE}
      select object || '.' || polname as object, case when polcmd = '*' then 'for all' else 'for public' end as detail
        from policies where polcmd = '*' or 0 = any (polroles)`,
  },
  // splinter 0024, SELECT included.
  {
    name: 'policy-always-true',
    why: 'a condition that is always true is row-level security in name only; where every row is meant, the allow-list says why',
    sql: `${CATALOGUE}
      select object || '.' || polname as object, concat_ws(', ', case when using_text ~* '${ALWAYS}' then 'using' end, case when check_text ~* '${ALWAYS}' then 'with check' end) as detail
        from policies where using_text ~* '${ALWAYS}' or check_text ~* '${ALWAYS}'`,
  },
  // splinter 0015: what its user_metadata is there, every free-form column and foreign setting is here.
  {
    name: 'policy-user-data',
    why: 'a policy decides by keys and roles; free-form columns and settings of other names are what callers write themselves',
    sql: `${CATALOGUE}
      select p.object || '.' || p.polname as object, format('reads %s.%s', c.relname, a.attname) as detail
        from policies p join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.policy and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
        join pg_class c on c.oid = d.refobjid join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
       where a.atttypid in ('jsonb'::regtype, 'json'::regtype)
      union all
      select p.object || '.' || p.polname, 'reads the setting ' || s.name[1]
        from policies p, regexp_matches(p.text, 'current_setting\\(''([^'']+)''', 'g') s (name) where s.name[1] not in ('app.current_user_id', 'app.current_org_id')`,
  },
  // splinter 0003.
  {
    name: 'policy-initplan',
    why: 'a setting or function of ours in a policy is called once per row unless it stands in a scalar sub-select',
    sql: `${CATALOGUE}
      select object || '.' || polname as object, left(text, 120) as detail from policies
       where regexp_count(text, 'current_setting\\(|\\m(app|private|ai)\\.\\w+\\(') >
             regexp_count(text, '\\( ?SELECT \\(*(NULLIF\\(|COALESCE\\()*\\(*(current_setting|(app|private|ai)\\.\\w+)\\(')`,
  },
  {
    name: 'partition-grant',
    why: "privileges stand on the parent alone: a partition named directly is not under its parent's policies",
    sql: `${CATALOGUE}
      select t.object, format('%s to %s', lower(g.privilege), g.grantee::regrole) as detail
        from tables t join grants g on g.oid = t.oid where t.is_partition and g.grantee::regrole::text in ${RUNTIME}`,
  },
  // splinter 0028, for relations and schemas too: our PUBLIC is its anon.
  {
    name: 'public-privilege',
    why: 'PUBLIC includes every role that will ever exist',
    sql: `${CATALOGUE}
      select r.object, lower(g.privilege) as detail from relations r join grants g on g.oid = r.oid where g.grantee = 0
      union all
      select f.object, lower(x.privilege_type) from functions f, aclexplode(f.acl) x where x.grantee = 0
      union all
      select quote_ident(n.nspname), lower(x.privilege_type) from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x
       where x.grantee = 0 and ${OUR_SCHEMA}`,
  },
  // splinter 0011, where it is most dangerous.
  {
    name: 'definer-search-path',
    why: "a SECURITY DEFINER function that trusts the caller's search_path runs the caller's objects with its owner's rights",
    sql: `${CATALOGUE}
      select object, 'search_path is not pinned' as detail from functions where definer and not exists (select from unnest(config) c where c like 'search_path=%')`,
  },
  // splinter 0011.
  {
    name: 'function-search-path',
    why: "a function that trusts the caller's search_path means something else for each caller, in triggers and policies too",
    sql: `${CATALOGUE}
      select object, 'search_path is not pinned' as detail from functions where not definer and not exists (select from unnest(config) c where c like 'search_path=%')`,
  },
  // splinter 0029: our runtime roles are its authenticated.
  {
    name: 'definer-reach',
    why: 'a SECURITY DEFINER function that a runtime role may call is a way past the policies: it stands in private or ai and says what it does',
    sql: `${CATALOGUE}
      select f.object, format('executable by %s, %s', x.grantee::regrole, case when p.pronamespace::regnamespace::text in ('private', 'ai') then 'without a comment' else 'in ' || p.pronamespace::regnamespace end) as detail
        from functions f join pg_proc p on p.oid = f.oid, aclexplode(f.acl) x
       where f.definer and x.privilege_type = 'EXECUTE' and (x.grantee = 0 or x.grantee::regrole::text in ${RUNTIME})
         and (p.pronamespace::regnamespace::text not in ('private', 'ai') or obj_description(f.oid, 'pg_proc') is null)`,
  },
  {
    name: 'definer-owner',
    why: 'a SECURITY DEFINER function acts as its owner, which must be neither a superuser nor a runtime role',
    sql: `${CATALOGUE}
      select object, 'owned by ' || owner::regrole as detail from functions f
       where definer and owner::regrole::text not in ('novax_definer', 'novax_owner')`,
  },
  {
    name: 'owner',
    why: 'objects belong to novax_owner or novax_definer; an owner may change its table and grant itself anything',
    sql: `${CATALOGUE}
      select object, 'owned by ' || owner::regrole as detail from relations where kind in ('r', 'p', 'v', 'm', 'S') and owner::regrole::text not in ('novax_owner', 'novax_definer')
      union all
      select object, 'owned by ' || owner::regrole from functions where owner::regrole::text not in ('novax_owner', 'novax_definer')
      union all
      select quote_ident(n.nspname), 'owned by ' || n.nspowner::regrole from pg_namespace n
        join pg_roles r on r.oid = n.nspowner where ${OUR_SCHEMA} and not r.rolsuper and r.rolname not in ('novax_owner', 'novax_definer', 'pg_database_owner')`,
  },
  {
    name: 'role-attribute',
    why: 'a runtime role that is a superuser, bypasses row-level security or makes roles is not bound by any of this',
    sql: `
      select rolname as object, concat_ws(', ', case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypassrls' end,
               case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end) as detail
        from pg_roles where rolname ~ '^(novax_|ai_agent_role$)'
         and (rolsuper and rolname <> 'novax_admin' or not rolsuper and (rolcreaterole or rolcreatedb or rolreplication
              or rolbypassrls and rolname not in ('novax_definer', 'novax_backup')))
      union all
      select m.member::regrole::text, 'member of ' || m.roleid::regrole from pg_auth_members m
       where m.member::regrole::text in ${RUNTIME} and m.roleid::regrole::text <> 'ai_agent_role'`,
  },
  {
    name: 'view-barrier',
    why: "a view that runs with its owner's rights must not let a caller's function see rows that it filters out",
    sql: `${CATALOGUE}
      select object, 'neither security_barrier nor security_invoker' as detail from relations
       where kind = 'v' and not options && '{security_barrier=true,security_barrier=on,security_barrier=1,security_invoker=true,security_invoker=on,security_invoker=1}'`,
  },
  // splinter 0010.
  {
    name: 'definer-view',
    why: "a view with its owner's rights passes row-level security by; it must filter by organization itself",
    sql: `${CATALOGUE}
      select object, 'runs as ' || owner::regrole as detail from relations
       where kind = 'v' and not options && '{security_invoker=true,security_invoker=on,security_invoker=1}'`,
  },
  // splinter 0016.
  {
    name: 'materialized-view-grant',
    why: 'row-level security does not apply to materialized views: whoever may read one reads every organization',
    sql: `${CATALOGUE}
      select r.object, format('%s to %s', lower(g.privilege), g.grantee::regrole) as detail from relations r join grants g on g.oid = r.oid
       where r.kind = 'm' and g.grantee::regrole::text in ${RUNTIME} and g.privilege = 'SELECT'`,
  },
];
