/**
 * Row-level security of the specification: whom it does not bind, what it lets through, and where it fails outright;
 * and how ours answers.
 */
import { describe, expect, test } from 'vitest';
import { connect, type TestDatabase } from '../../kit/database.ts';
import {
  ANNA,
  asking,
  BEN,
  DOCUMENT_A,
  ORG_A,
  ORG_B,
  ORG_ISOLATION,
  originalDatabase,
  ourDatabase,
  PROJECT_A,
  run,
  VERA,
} from './original.ts';

const refused = (code: string, message?: RegExp): object =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) });
const ROW_SECURITY = refused('42501', /row-level security/);
const TITLES = 'select title from documents order by 1';

/** The specification's policy with an application role that is bound by it: the later faults show on that. */
async function originalWithApi(...statements: string[]): Promise<TestDatabase> {
  return originalDatabase(
    ORG_ISOLATION,
    'grant select, insert, update, delete on all tables in schema public to novax_api',
    ...statements,
  );
}

describe('D27: the role that the application signs in with', () => {
  test('as superuser and owner it sees every organization, row-level security or not', async () => {
    await using original = await originalDatabase(ORG_ISOLATION);
    expect(await run(original.adminUrl, asking({ user: ANNA }, TITLES))).toHaveLength(2);
  });

  test('ours owns nothing, bypasses nothing and sees its own organizations', async () => {
    await using ours = await ourDatabase();
    expect(await run(ours.url('novax_api'), asking({ user: ANNA }, TITLES))).toEqual([{ title: 'Apple' }]);
    const roles = await run(
      ours.adminUrl,
      `select rolname from pg_roles r where rolname in ('novax_api', 'novax_worker', 'novax_ai', 'ai_agent_role', 'novax_readonly')
          and (rolsuper or rolbypassrls or exists (select from pg_class c where c.relowner = r.oid))`,
    );
    expect(roles).toEqual([]);
  });

  test('the owner of a table is bound only where it is forced', async () => {
    await using original = await originalDatabase(ORG_ISOLATION, 'alter table documents owner to novax_owner');
    const asOwner = `set role novax_owner; ${asking({ user: VERA }, 'select count(*)::int as n from documents')}`;
    await run(original.adminUrl, 'grant select on projects, org_members to novax_owner');
    expect(await run(original.adminUrl, asOwner)).toEqual([{ n: 2 }]);

    await using ours = await ourDatabase();
    expect(await run(ours.adminUrl, asOwner)).toEqual([{ n: 0 }]);
  });
});

describe('D29: what a viewer may do', () => {
  const remove = asking({ user: VERA }, 'delete from documents returning title');

  test("the one policy for all commands lets a viewer delete the organization's document", async () => {
    await using original = await originalWithApi();
    expect(await run(original.url('novax_api'), remove)).toEqual([{ title: 'Apple' }]);
  });

  test('ours lets a viewer read and neither change, add nor delete', async () => {
    await using ours = await ourDatabase();
    const api = ours.url('novax_api');
    expect(await run(api, asking({ user: VERA }, TITLES))).toEqual([{ title: 'Apple' }]);
    await expect(run(api, remove)).rejects.toEqual(refused('42501'));
    expect(await run(api, asking({ user: VERA }, "update documents set title = 'Taken' returning title"))).toEqual([]);
    const add = `insert into documents (org_id, project_id, author_id, title, content) values ('${ORG_A}', '${PROJECT_A}', '${VERA}', 'Mine', '')`;
    await expect(run(api, asking({ user: VERA }, add))).rejects.toEqual(ROW_SECURITY);
  });

  test('a member of one organization writes nothing into another, in the name of either', async () => {
    await using ours = await ourDatabase();
    const add = (author: string): string =>
      `insert into documents (org_id, project_id, author_id, title, content) values ('${ORG_A}', '${PROJECT_A}', '${author}', 'Mine', '')`;
    await expect(run(ours.url('novax_api'), asking({ user: BEN }, add(BEN)))).rejects.toEqual(ROW_SECURITY);
    await expect(run(ours.url('novax_api'), asking({ user: BEN, org: ORG_A }, add(ANNA)))).rejects.toEqual(
      ROW_SECURITY,
    );
  });

  test('a viewer who locks a row gets none, so a command asks for the role first', async () => {
    await using ours = await ourDatabase();
    expect(await run(ours.url('novax_api'), asking({ user: VERA }, `${TITLES} for update`))).toEqual([]);
  });
});

describe('D30: nobody is signed in', () => {
  test('an unset setting is an error, and so is one that a transaction has reset', async () => {
    await using original = await originalWithApi();
    await using client = await connect(original.url('novax_api'));
    await expect(client.query(TITLES)).rejects.toEqual(refused('42704', /unrecognized configuration parameter/));
    await client.query(asking({ user: ANNA }, 'commit'));
    await expect(client.query(TITLES)).rejects.toEqual(refused('22P02', /invalid input syntax for type uuid: ""/));
  });

  test('ours answers with no rows, before and after', async () => {
    await using ours = await ourDatabase();
    await using client = await connect(ours.url('novax_api'));
    expect((await client.query(TITLES)).rows).toEqual([]);
    await client.query(asking({ user: ANNA }, 'commit'));
    expect((await client.query(TITLES)).rows).toEqual([]);
  });
});

describe('D32: policies that read memberships', () => {
  const RECURSION = refused('42P17', /infinite recursion/);

  test('a policy of org_members that reads org_members recurses', async () => {
    await using original = await originalWithApi(`alter table org_members enable row level security;
      create policy members on org_members using (org_id in (select org_id from org_members where user_id = current_setting('app.current_user_id')::uuid))`);
    await expect(run(original.url('novax_api'), asking({ user: ANNA }, 'select * from org_members'))).rejects.toEqual(
      RECURSION,
    );
    await expect(run(original.url('novax_api'), asking({ user: ANNA }, TITLES))).rejects.toEqual(RECURSION);
  });

  test('ours shows the members of one’s own organizations, themselves included', async () => {
    await using ours = await ourDatabase();
    const members = await run(
      ours.url('novax_api'),
      asking({ user: VERA }, 'select user_id from org_members order by 1'),
    );
    expect(members).toEqual([{ user_id: ANNA }, { user_id: VERA }]);
  });

  test('under FORCE a definer function of the owner recurses too, so the definer is a role that bypasses', async () => {
    await using ours = await ourDatabase();
    await run(
      ours.adminUrl,
      `create function private.orgs_of() returns setof uuid language sql stable security definer set search_path = pg_catalog, pg_temp as
         $$ select org_id from public.org_members where user_id = nullif(current_setting('app.current_user_id', true), '')::uuid $$;
       alter function private.orgs_of owner to novax_owner; grant execute on function private.orgs_of to novax_api, novax_owner;
       create policy recursing on org_members for select to public using (org_id in (select private.orgs_of()))`,
    );
    await expect(run(ours.url('novax_api'), asking({ user: ANNA }, 'select * from org_members'))).rejects.toEqual(
      expect.objectContaining({ code: expect.stringMatching(/^(42P17|54001)$/) }),
    );
    await run(ours.adminUrl, 'alter function private.orgs_of owner to novax_definer');
    expect(await run(ours.url('novax_api'), asking({ user: ANNA }, 'select * from org_members'))).toHaveLength(2);
  });

  test('FORCE binds the owner: what it materializes is empty', async () => {
    await using ours = await ourDatabase();
    await run(ours.adminUrl, 'set role novax_owner; create materialized view public.mine as select * from documents');
    expect(await run(ours.adminUrl, 'select count(*)::int as n from public.mine')).toEqual([{ n: 0 }]);
    await run(ours.adminUrl, 'refresh materialized view private.mv_ai_document_context');
    expect(await run(ours.adminUrl, 'select count(*)::int as n from private.mv_ai_document_context')).toEqual([
      { n: 2 },
    ]);
  });

  test('nobody makes themselves a member, which one grant more would allow', async () => {
    await using ours = await ourDatabase();
    const api = ours.url('novax_api');
    const intrude = asking(
      { user: BEN },
      `insert into app.memberships values ('${BEN}', '${ORG_A}', 'owner'); ${TITLES}`,
    );
    await expect(run(api, intrude)).rejects.toEqual(refused('42501', /permission denied for table memberships/));
    await expect(
      run(
        api,
        asking({ user: BEN }, `insert into org_members (org_id, user_id, role) values ('${ORG_A}', '${BEN}', 'owner')`),
      ),
    ).rejects.toEqual(ROW_SECURITY);
    expect(await run(api, asking({ user: BEN }, 'select org_id from app.memberships'))).toEqual([{ org_id: ORG_B }]);
    // The policy alone would not have stopped it: the row is Ben's own.
    await run(
      ours.adminUrl,
      `grant insert on app.memberships to novax_api; alter table app.memberships drop constraint fk_memberships_org_member;
      create policy careless on app.memberships for insert to novax_api with check (user_id = nullif(current_setting('app.current_user_id', true), '')::uuid)`,
    );
    expect(await run(api, intrude)).toEqual([{ title: 'Apple' }, { title: 'Berry' }]);
  });

  test('an owner adds another person, because the trigger behind it may write for others', async () => {
    await using ours = await ourDatabase();
    const add = asking(
      { user: ANNA },
      `insert into org_members (org_id, user_id, role) values ('${ORG_A}', '${BEN}', 'member'); commit`,
    );
    await run(ours.url('novax_api'), add);
    expect(await run(ours.url('novax_api'), asking({ user: BEN }, TITLES))).toHaveLength(2);
  });
});

describe('records by the organization, not by membership', () => {
  const record = `insert into audit_log (org_id, actor_type, actor_id, action, entity_type, entity_id) values ('${ORG_A}', 'user', '${VERA}', 'delete', 'org_members', '${VERA}')`;
  const leave = `delete from org_members where user_id = '${VERA}'`;

  test('leaving an organization is recorded after the membership is gone', async () => {
    await using ours = await ourDatabase();
    await run(ours.url('novax_api'), asking({ user: VERA, org: ORG_A }, `${leave}; ${record}; commit`));
    expect(await run(ours.adminUrl, 'select count(*)::int as n from audit_log')).toEqual([{ n: 1 }]);
  });

  test('with a policy by membership it cannot be', async () => {
    await using ours = await ourDatabase();
    await run(
      ours.adminUrl,
      `drop policy audit_log_insert_novax_api on audit_log; create policy by_membership on audit_log for insert to novax_api
         with check (org_id in (select org_id from app.memberships where user_id = nullif(current_setting('app.current_user_id', true), '')::uuid))`,
    );
    await expect(
      run(ours.url('novax_api'), asking({ user: VERA, org: ORG_A }, `${leave}; ${record}; commit`)),
    ).rejects.toEqual(ROW_SECURITY);
  });

  test("nobody records in another person's name, and nobody changes a record", async () => {
    await using ours = await ourDatabase();
    await expect(run(ours.url('novax_api'), asking({ user: ANNA, org: ORG_A }, record))).rejects.toEqual(ROW_SECURITY);
    await run(ours.url('novax_api'), asking({ user: VERA, org: ORG_A }, `${record}; commit`));
    for (const change of ["update audit_log set action = 'create'", 'delete from audit_log', 'truncate audit_log']) {
      await expect(run(ours.url('novax_api'), asking({ user: ANNA, org: ORG_A }, change))).rejects.toEqual(
        refused('42501', /permission denied/),
      );
      await expect(run(ours.adminUrl, change)).rejects.toEqual(refused('42501', /append-only/));
    }
  });
});

describe('partitions', () => {
  test('do not inherit row-level security: read directly, an unforced one shows every organization', async () => {
    await using ours = await ourDatabase();
    await run(
      ours.adminUrl,
      `insert into audit_log (org_id, actor_type, action, entity_type, entity_id) values ('${ORG_B}', 'system', 'create', 'documents', gen_random_uuid());
       create table audit_log_bare partition of audit_log for values from ('2150-01-01') to ('2150-02-01');
       insert into audit_log (org_id, actor_type, action, entity_type, entity_id, created_at) values ('${ORG_B}', 'system', 'create', 'documents', gen_random_uuid(), '2150-01-05');
       grant select on all tables in schema public to novax_api`,
    );
    const count = (table: string): Promise<unknown> =>
      run(ours.url('novax_api'), asking({ user: ANNA }, `select count(*)::int as n from ${table}`));
    expect(await count('audit_log_bare')).toEqual([{ n: 1 }]);
    const month = await run(
      ours.adminUrl,
      "select 'audit_log_' || to_char(now() at time zone 'UTC', 'YYYY_MM') as name",
    );
    expect(await count(String(month[0]?.['name']))).toEqual([{ n: 0 }]);
    expect(await count('audit_log')).toEqual([{ n: 0 }]);
  });
});

describe('traps of row-level security', () => {
  test('a setting is whatever the sender of SQL says, so no SQL text may come from outside', async () => {
    await using ours = await ourDatabase();
    const injected = asking({ user: BEN }, `select set_config('app.current_user_id', '${ANNA}', true); ${TITLES}`);
    expect(await run(ours.url('novax_api'), injected)).toEqual([{ title: 'Apple' }]);
  });

  test('lower(email) cannot use its index under a policy, the stored form can', async () => {
    await using ours = await ourDatabase();
    await run(
      ours.adminUrl,
      'create index idx_users_lower on users (lower(email)); drop policy users_select_novax_api on users',
    );
    await run(ours.adminUrl, "create policy lenient on users for select to novax_api using (status <> 'deleted')");
    const plan = async (condition: string): Promise<string> => {
      const rows = await run(
        ours.url('novax_api'),
        `set enable_seqscan = off; explain (costs off) select id from users where ${condition}`,
      );
      return rows.map((row) => String(row['QUERY PLAN'])).join('\n');
    };
    expect(await plan("lower(email) = 'anna@example.com'")).not.toContain('Index Cond');
    expect(await plan("email_normalized = 'anna@example.com' and status <> 'deleted'")).toContain('Index Cond');
  });

  test('a soft delete fails where the policy to read hides deleted rows; ours does not, and queries leave them out', async () => {
    await using ours = await ourDatabase();
    const softDelete = asking(
      { user: ANNA },
      `update documents set status = 'deleted' where id = '${DOCUMENT_A}' returning status`,
    );
    expect(await run(ours.url('novax_api'), softDelete)).toEqual([{ status: 'deleted' }]);
    await run(
      ours.adminUrl,
      "create policy hide_deleted on documents as restrictive for select to novax_api using (status <> 'deleted')",
    );
    await expect(run(ours.url('novax_api'), softDelete)).rejects.toEqual(ROW_SECURITY);
  });
});
