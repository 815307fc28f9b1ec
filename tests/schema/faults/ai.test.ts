/** What the AI reads and writes: views that pass row-level security by, grants that do not work, rows that multiply. */
import { aiViews } from '@novax/db/queries/upkeep';
import { describe, expect, test } from 'vitest';
import { connect, type TestDatabase } from '../../kit/database.ts';
import {
  AI_COLUMN_GRANT,
  AI_GRANTS,
  ANNA,
  asking,
  DOCUMENT_A,
  DOCUMENT_B,
  DOCUMENT_CONTEXT_VIEW,
  MEND_DOCUMENT_STATUS,
  ORG_A,
  ORG_ISOLATION,
  originalDatabase,
  ourDatabase,
  run,
} from './original.ts';

const refused = (code: string, message?: RegExp): object =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) });
const CONTEXT = 'select distinct title from mv_ai_document_context order by 1';
const vector = (first: number): string => `('[${[first, ...Array<number>(1535).fill(0)].join(',')}]')`;

const originalWithViews = (): Promise<TestDatabase> =>
  originalDatabase(MEND_DOCUMENT_STATUS, DOCUMENT_CONTEXT_VIEW, ORG_ISOLATION, AI_GRANTS);

/** Ours, with the views refreshed as the worker refreshes them. */
async function oursRefreshed(): Promise<TestDatabase> {
  const db = await ourDatabase();
  for (const view of aiViews) await run(db.url('novax_worker'), `select private.refresh_view('${view}', true)`);
  return db;
}

describe('D26: views that the AI role reads', () => {
  test('a materialized view knows no row-level security: the AI role reads every organization', async () => {
    await using original = await originalWithViews();
    await using agent = await connect(original.adminUrl);
    await agent.query('set role ai_agent_role');
    expect((await agent.query(CONTEXT)).rows).toEqual([{ title: 'Apple' }, { title: 'Berry' }]);
    const guard = 'alter table mv_ai_document_context enable row level security';
    await expect(run(original.adminUrl, guard)).rejects.toEqual(refused('42809'));
  });

  test('ours shows one organization, none without one, and keeps the materialized view itself closed', async () => {
    await using ours = await oursRefreshed();
    const ai = ours.url('novax_ai');
    const read = 'select title from ai.mv_ai_document_context order by 1';
    expect(await run(ai, asking({ org: ORG_A }, read))).toEqual([{ title: 'Apple' }]);
    expect(await run(ai, asking({}, read))).toEqual([]);
    await expect(run(ai, 'select * from private.mv_ai_document_context')).rejects.toEqual(refused('42501'));
  });

  test("a caller's function in the condition sees no other organization's row", async () => {
    await using ours = await oursRefreshed();
    await run(
      ours.adminUrl,
      `create function public.peek(t text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', t; return true; end $$;
       grant execute on function public.peek to ai_agent_role`,
    );
    await using ai = await connect(ours.url('novax_ai'));
    const seen: string[] = [];
    ai.on('notice', (notice) => seen.push(notice.message ?? ''));
    await ai.query(asking({ org: ORG_A }, 'select id from ai.mv_ai_document_context where public.peek(title)'));
    expect(seen).toEqual(['Apple']);
  });
});

describe('D34: the grants of the AI role', () => {
  test('as specified it may update a document and cannot say which, read none, and never replace a vector', async () => {
    await using original = await originalWithViews();
    await run(original.adminUrl, `alter table documents add column ai_metadata jsonb; ${AI_COLUMN_GRANT}`);
    expect(await run(original.adminUrl, "select rolcanlogin from pg_roles where rolname = 'ai_agent_role'")).toEqual([
      { rolcanlogin: false },
    ]);
    await using agent = await connect(original.adminUrl);
    await agent.query('set role ai_agent_role');
    // The policy asks for a user that an agent does not have; with one, the condition and the policy read what was
    // never granted.
    const update = `update documents set ai_summary = '{}' where id = '${DOCUMENT_A}'`;
    await expect(agent.query(update)).rejects.toEqual(refused('42704', /app\.current_user_id/));
    await agent.query(`set app.current_user_id = '${ANNA}'`);
    await expect(agent.query(update)).rejects.toEqual(refused('42501', /permission denied/));
    await expect(agent.query('select title from documents')).rejects.toEqual(refused('42501', /permission denied/));
    await agent.query(
      `insert into ai_embeddings (source_id, source_type, embedding) values ('${DOCUMENT_A}', 'document', ${vector(1)})`,
    );
    await expect(agent.query('delete from ai_embeddings')).rejects.toEqual(refused('42501'));
    await expect(agent.query("update tasks set ai_metadata = '{}'")).rejects.toEqual(refused('42501'));
  });

  test('ours signs in, works inside one organization, and touches nothing that people wrote', async () => {
    await using ours = await ourDatabase();
    // The role's transactions are read-only unless it says otherwise.
    const ai = (sql: string): Promise<Record<string, unknown>[]> =>
      run(ours.url('novax_ai'), asking({ org: ORG_A }, sql).replace(/^begin/, 'begin read write'));
    const summarize = (id: string): string =>
      `update documents set ai_summary = '{"summary": "fruit"}' where id = '${id}' returning title, version`;
    expect(await ai(summarize(DOCUMENT_A))).toEqual([{ title: 'Apple', version: 1 }]);
    expect(await ai(summarize(DOCUMENT_B))).toEqual([]);
    expect(await ai("update tasks set ai_metadata = '{}' returning id")).toEqual([]);
    for (const forbidden of [
      "update documents set title = 'x'",
      'delete from documents',
      'delete from ai_embeddings',
      'delete from tasks',
      'select password_hash from users',
      "update users set username = 'x'",
      "insert into documents (title) values ('x')",
      'select * from app.memberships',
    ]) {
      await expect(ai(forbidden), forbidden).rejects.toEqual(refused('42501', /permission denied/));
    }
  });

  test('a source’s vectors are replaced as a whole, and only in one’s own organization', async () => {
    await using ours = await ourDatabase();
    const replace = (id: string, first: number): string => {
      const chunk = {
        chunk_no: 0,
        char_from: 0,
        char_to: 5,
        dims: 512,
        content_hash: '00'.repeat(32),
        embedding: [first, ...Array<number>(1535).fill(0)],
      };
      return `select ai.replace_embeddings('document', '${id}', 1::smallint, '${JSON.stringify([chunk])}') as stored`;
    };
    const worker = ours.url('novax_worker');
    expect(await run(worker, asking({ org: ORG_A }, `${replace(DOCUMENT_A, 1)}; commit`))).toEqual([]);
    await run(worker, asking({ org: ORG_A }, `${replace(DOCUMENT_A, 2)}; commit`));
    expect(
      await run(ours.adminUrl, 'select count(*)::int as n, max((embedding::real[])[1]) as first from ai_embeddings'),
    ).toEqual([{ n: 1, first: 2 }]);
    await expect(run(worker, asking({ org: ORG_A }, replace(DOCUMENT_B, 1)))).rejects.toEqual(refused('23503'));
  });
});

describe('D42: one row per document', () => {
  const TWO_CHUNKS = `insert into ai_embeddings (source_id, source_type, embedding) select d.id, 'document', ${vector(1)} from documents d, generate_series(1, 2)`;

  test('every chunk multiplies the row, so no unique key and no concurrent refresh can be', async () => {
    await using original = await originalDatabase(MEND_DOCUMENT_STATUS, TWO_CHUNKS, DOCUMENT_CONTEXT_VIEW);
    expect(await run(original.adminUrl, 'select count(*)::int as n from mv_ai_document_context')).toEqual([{ n: 4 }]);
    await expect(run(original.adminUrl, 'create unique index on mv_ai_document_context (id)')).rejects.toEqual(
      refused('23505'),
    );
    await expect(
      run(original.adminUrl, 'refresh materialized view concurrently mv_ai_document_context'),
    ).rejects.toEqual(refused('55000', /concurrently/));
  });

  test('ours keeps one row whatever the chunks, and refreshes while others read', async () => {
    await using ours = await oursRefreshed();
    await run(
      ours.adminUrl,
      `insert into ai_embeddings (org_id, document_id, model_id, dims, chunk_no, char_from, char_to, content_hash, embedding)
       select org_id, id, 1, 512, n, 0, 5, 'x', ${vector(1)} from documents, generate_series(0, 2) n`,
    );
    await using reader = await connect(ours.url('novax_ai'));
    const read = await reader.query(
      asking({ org: ORG_A }, 'select title, embedding is not null as embedded from ai.mv_ai_document_context'),
    );
    expect([read].flat().at(-1)?.rows).toEqual([{ title: 'Apple', embedded: true }]);
    await run(ours.url('novax_worker'), 'refresh materialized view concurrently private.mv_ai_document_context');
  });
});

describe('vector indexes', () => {
  test('a generic plan cannot use a partial index by model, so the model is a literal', async () => {
    await using ours = await ourDatabase();
    const plan = async (model: string): Promise<string> => {
      const rows = await run(
        ours.adminUrl,
        `set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off;
         prepare nearest (smallint, uuid) as select id from ai_embeddings where org_id = $2 and model_id = ${model}
           order by embedding::halfvec(1536) <=> ${vector(1)}::vector::halfvec(1536) limit 5;
         explain (costs off) execute nearest (1, '${ORG_A}')`,
      );
      return rows.map((row) => String(row['QUERY PLAN'])).join('\n');
    };
    expect(await plan('$1')).not.toContain('embedding_model_1');
    expect(await plan('1')).toContain('embedding_model_1');
  });
});
