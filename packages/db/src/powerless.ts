/** Refuses to work as a database role that row-level security does not bind. */
import pg from 'pg';

/** Throws, naming what is wrong, when the URL's role is superuser, bypasses row security, owns a table or is a member of a role that does. */
export async function assertBoundByPolicies(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query<{ role: string; problems: string[] }>(`
      select current_user as role, array_remove(array[
        case when bool_or(r.rolsuper) then 'is a superuser' end,
        case when bool_or(r.rolbypassrls) then 'bypasses row-level security' end,
        case when exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                           where c.relkind in ('r', 'p') and n.nspname in ('public', 'app', 'private')
                             and pg_has_role(current_user, c.relowner, 'member')) then 'owns tables' end
      ], null) as problems
      from pg_roles r where pg_has_role(current_user, r.oid, 'member')`);
    const [found] = rows;
    if (found !== undefined && found.problems.length > 0) {
      throw new Error(
        `refusing to start: database role "${found.role}" ${found.problems.join(' and ')}, so tenants would not be kept apart; use novax_api (see DATABASE_URL)`,
      );
    }
  } finally {
    await client.end();
  }
}
