/** Every process of the product is killed in the middle of an import; what the next start finds and leaves. Skipped, and said, where no stack can run. */
import { afterAll, expect, test } from 'vitest';
import { identify } from '../../apps/ops/src/supervisor/pids.ts';
import { eventually } from '../kit/eventually.ts';
import { ownStack, slowDown } from './own-stack.ts';

const DOCUMENTS = 40;
const stack = await ownStack();
if (stack.impossible !== undefined) console.warn(`SKIPPED: nothing can be killed here, because ${stack.impossible}`);
afterAll(() => stack.remove(), 120_000);

const stored = async (): Promise<number> => {
  const [row] = await stack.rows<{ count: number }>('select count(*)::int as count from documents');
  return row?.count ?? 0;
};

/** Waits until the import went on from `before` documents, and is still in its middle. */
const importedMoreThan = (before: number): Promise<number> =>
  eventually(
    async () => {
      const now = await stored();
      expect(now).toBeGreaterThan(before);
      expect(now, 'the import must be under way when the next one is killed').toBeLessThan(DOCUMENTS);
      return now;
    },
    { timeoutMs: 60_000, everyMs: 50 },
  );

test.skipIf(stack.impossible !== undefined)(
  'kill -9 of every process and server during an import, then a start again, loses nothing and does nothing twice',
  { timeout: 300_000 },
  async () => {
    const first = stack.begin('start', '--once', '--documents', String(DOCUMENTS));
    await eventually(
      async () => {
        expect(first.child.exitCode, first.output.stderr).toBeNull();
        // Migrations are over when the API starts, and the import begins when the workers serve.
        stack.pidOf('api');
        await slowDown(stack, 0.75);
      },
      { timeoutMs: 120_000, everyMs: 50 },
    );
    let documents = await importedMoreThan(0);
    const hit: string[] = [];
    for (const name of ['api', 'workers', 'nats', 'valkey-queue', 'valkey-cache', 'postgres']) {
      if (!stack.state().processes.some((process) => process.name === name)) {
        console.warn(`not killed: ${name}, which runs in a container here`);
        continue;
      }
      const killed = await eventually(() => stack.pidOf(name), { timeoutMs: 30_000 });
      process.kill(killed, 'SIGKILL');
      await eventually(() => expect(stack.pidOf(name)).not.toBe(killed), { timeoutMs: 30_000 });
      documents = await importedMoreThan(documents);
      hit.push(`${name} at ${documents}`);
    }
    const { processes, supervisor } = stack.state();
    expect(supervisor.pid).toBe(first.child.pid);
    process.kill(supervisor.pid, 'SIGKILL');
    expect(await first.ended).toMatchObject({ code: null, signal: 'SIGKILL' });
    console.log(`killed with so many of ${DOCUMENTS} documents stored: ${hit.join(', ')}, and the supervisor`);

    const began = performance.now();
    const second = await stack.run('start', '--once', '--documents', String(DOCUMENTS), '-o', 'json');
    expect(second.code, second.stderr).toBe(0);
    expect(stack.state().notes.join('\n')).toContain('the last supervisor did not stop in good order');
    for (const { pid } of processes) expect(pid === null ? undefined : identify(pid)).toBeUndefined();
    const said = JSON.parse(second.stdout);
    console.log(
      `the start after that took ${((performance.now() - began) / 1000).toFixed(1)} s, of which ${(said.searchableAfterMs / 1000).toFixed(1)} s waiting for what the crash had interrupted`,
    );
    expect(said.imported.refused).toEqual([]);
    expect(said.imported.present).toBeGreaterThanOrEqual(documents);
    expect(said.imported.created).toBe(DOCUMENTS - said.imported.present);
    expect(said.imported.created, 'the second start had something left to do').toBeGreaterThan(0);
    // 1 organization, 1 project, and of every document: created, embedded, summarized.
    const facts = 2 + 3 * DOCUMENTS;
    expect(said.figures).toMatchObject({
      documents: DOCUMENTS,
      embedded: DOCUMENTS,
      summarized: DOCUMENTS,
      eventsPublished: facts,
      eventsPending: 0,
      eventsFailed: 0,
      deadLetters: 0,
      auditRows: facts,
    });
  },
);

test.skipIf(stack.impossible !== undefined)(
  'the database holds every document, vector, event and audit row once after that',
  { timeout: 120_000 },
  async () => {
    expect(await stack.run('up', '--servers')).toMatchObject({ code: 0 });
    expect(
      await stack.rows(`select count(*)::int as documents, count(distinct title)::int as titles, count(ai_summary)::int as summaries,
                               count(distinct project_id)::int as projects from documents`),
    ).toEqual([{ documents: DOCUMENTS, titles: DOCUMENTS, summaries: DOCUMENTS, projects: 1 }]);
    expect(
      await stack.rows(
        `select d.title, count(v.id)::int as first_chunks from documents d
           left join ai_embeddings v on v.org_id = d.org_id and v.document_id = d.id and v.chunk_no = 0
          group by d.id, d.title having count(v.id) <> 1`,
      ),
      'documents that are not embedded exactly once',
    ).toEqual([]);
    expect(
      await stack.rows(
        `select document_id, chunk_no from ai_embeddings group by document_id, chunk_no having count(*) > 1`,
      ),
    ).toEqual([]);
    expect(
      await stack.rows(
        `select event_type, status, count(*)::int as count from events where org_id is not null group by 1, 2 order by 1, 2`,
      ),
    ).toEqual([
      { event_type: 'document.created', status: 'published', count: DOCUMENTS },
      { event_type: 'document.enriched', status: 'published', count: 2 * DOCUMENTS },
      { event_type: 'organization.created', status: 'published', count: 1 },
      { event_type: 'project.created', status: 'published', count: 1 },
    ]);
    expect(await stack.rows(`select event_type, status from events where org_id is null`)).toEqual([
      { event_type: 'user.registered', status: 'published' },
    ]);
    expect(await stack.rows(`select event_id from events group by event_id having count(*) > 1`)).toEqual([]);
    expect(
      await stack.rows(
        `select aggregate_id, event_type, payload from events where event_type <> 'document.enriched'
          group by 1, 2, 3 having count(*) > 1`,
      ),
    ).toEqual([]);
    expect(
      await stack.rows(`select (select count(*)::int from audit_log where org_id is not null) as audited,
                               (select count(*)::int from dead_letters) as dead, (select count(*)::int from organizations) as organizations,
                               (select count(*)::int from users) as users`),
    ).toEqual([{ audited: 2 + 3 * DOCUMENTS, dead: 0, organizations: 1, users: 1 }]);
  },
);
