/** Checks of who may do what: attributes of the roles, their memberships, what they own, and whom the addresses sign in as. */
import { rowOf, rowsOf } from '../database/connect.ts';
import type { SettingName, Settings } from '../database/settings.ts';
import type { Check, Finding } from './check.ts';
import { fail, ok } from './check.ts';
import { connectBriefly } from './server-checks.ts';

interface Wanted {
  login: boolean;
  bypass: boolean;
  /** Roles it may be a member of. */
  member: readonly string[];
  owns: boolean;
}

const runtime: Wanted = { login: true, bypass: false, member: [], owns: false };

/** As `infra/images/postgres/bootstrap.sql` makes them. */
const ROLES: Readonly<Record<string, Wanted>> = {
  novax_owner: { login: false, bypass: false, member: [], owns: true },
  novax_definer: { login: false, bypass: true, member: [], owns: true },
  novax_migrator: { login: true, bypass: false, member: ['novax_owner', 'novax_definer'], owns: false },
  novax_api: runtime,
  novax_worker: runtime,
  ai_agent_role: { ...runtime, login: false },
  novax_ai: { ...runtime, member: ['ai_agent_role'] },
  novax_readonly: runtime,
  novax_backup: { ...runtime, bypass: true },
};

const SIGNS_IN_AS: Readonly<Partial<Record<SettingName, string>>> = {
  DATABASE_URL: 'novax_api',
  DATABASE_WORKER_URL: 'novax_worker',
  DATABASE_AI_URL: 'novax_ai',
  DATABASE_MIGRATOR_URL: 'novax_migrator',
  DATABASE_READONLY_URL: 'novax_readonly',
  DATABASE_BACKUP_URL: 'novax_backup',
};

const MEND = 'with DATABASE_ADMIN_URL set: novax migrate up';

/** One line per role, and one per address that is set. `url` may be of any role. */
export function roleChecks(url: string, settings: Settings): Check[] {
  const addresses = Object.entries(SIGNS_IN_AS).flatMap(([name, role]) => {
    // The keys are those of SIGNS_IN_AS above.
    const address = settings.values[name as SettingName];
    return address === undefined ? [] : [{ name, role, address }];
  });
  return [
    { name: 'roles', mend: MEND, run: () => roles(url) },
    ...addresses.map(({ name, role, address }) => ({
      name,
      mend: `set ${name} to an address that signs in as ${role}`,
      run: () => signsIn(name, role, address),
    })),
  ];
}

async function roles(url: string): Promise<Finding[]> {
  await using client = await connectBriefly(url);
  const found = await rowsOf<{
    name: string;
    login: boolean;
    bypass: boolean;
    super: boolean;
    creates: boolean;
    member: string[];
    owns: number;
  }>(
    client,
    `select r.rolname as name, r.rolcanlogin as login, r.rolbypassrls as bypass, r.rolsuper as super, r.rolcreaterole or r.rolcreatedb or r.rolreplication as creates,
            array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid) as member,
            (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relowner = r.oid and c.relkind in ('r', 'p', 'v', 'm') and n.nspname in ('public', 'app', 'ai', 'private'))::int as owns
       from pg_roles r where r.rolname = any ($1)`,
    [Object.keys(ROLES)],
  );
  const byName = new Map(found.map((role) => [role.name, role]));
  return Object.entries(ROLES).map(([name, wanted]) => {
    const role = byName.get(name);
    const label = `role ${name}`;
    if (role === undefined) return fail(label, 'does not exist', MEND);
    const wrong = [
      ...(role.super ? ['SUPERUSER'] : []),
      ...(role.creates ? ['may create roles or databases, or replicate'] : []),
      ...(role.bypass && !wanted.bypass ? ['BYPASSRLS: sees every organization'] : []),
      ...(!role.bypass && wanted.bypass ? ['lacks BYPASSRLS'] : []),
      ...(role.login !== wanted.login ? [wanted.login ? 'may not sign in' : 'may sign in'] : []),
      ...role.member.filter((group) => !wanted.member.includes(group)).map((group) => `member of ${group}`),
      ...wanted.member.filter((group) => !role.member.includes(group)).map((group) => `no member of ${group}`),
      ...(role.owns > 0 && !wanted.owns ? [`owns ${role.owns} tables or views`] : []),
    ];
    // The bootstrap sets attributes right, but takes away neither memberships nor ownership.
    const byHand = role.member.some((group) => !wanted.member.includes(group))
      ? `revoke the membership: revoke <group> from ${name}`
      : role.owns > 0 && !wanted.owns
        ? `reassign owned by ${name} to novax_owner`
        : MEND;
    if (wrong.length > 0) return fail(label, wrong.join(', '), byHand);
    return ok(
      label,
      [wanted.login ? 'login' : 'no login', wanted.bypass ? 'BYPASSRLS' : 'bound by policies'].join(', '),
    );
  });
}

async function signsIn(name: string, role: string, address: string): Promise<Finding[]> {
  await using client = await connectBriefly(address);
  const { user } = await rowOf<{ user: string }>(client, 'select session_user as user');
  return [
    user === role
      ? ok(name, `signs in as ${user}`)
      : fail(name, `signs in as ${user}, not ${role}`, `set ${name} to an address that signs in as ${role}`),
  ];
}
