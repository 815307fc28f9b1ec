/** An audit trail with several chains, written and sealed as the product does, and checked as a superuser sees it. */
import { randomBytes, randomUUID } from 'node:crypto';
import { fakeBlobStore } from '@novax/adapters/fakes/blobs';
import { insertAudit } from '@novax/db/audit';
import type { Ask } from '@novax/db/person-keys';
import { allChains } from '@novax/db/queries/audit-verify';
import { openDatabase } from '@novax/db/tx';
import { anchorHeads, readAnchors } from '@novax/domain/audit/anchors';
import { sealSettled } from '@novax/domain/audit/seal';
import { verifyChain, type ChainVerdict } from '@novax/domain/audit/verify';
import type { BlobStore } from '@novax/domain/ports';
import { createSigner } from '@novax/runtime/signing';
import type { Client } from 'pg';
import { connect, testDatabase } from './database.ts';
import { eventually } from './eventually.ts';

export type Trail = Awaited<ReturnType<typeof startTrail>>;

/** Statements over a connection of its own, under whatever role it has. */
export function askOver(client: Client): Ask {
  return async <Row>(statement: { readonly text: string }, values: readonly unknown[]) => {
    const { rows } = await client.query(statement.text, [...values]);
    // The statement's declaration is the typed edge.
    return rows as Row[];
  };
}

/** Values of one audit row of an organization, in the system's name. */
export function rowValues(orgId: string, count = 1): unknown[] {
  const rows = Array.from({ length: count }, (_, n) => ({
    action: 'update',
    entity_type: 'documents',
    entity_id: randomUUID(),
    old_value: { title: `before ${n}`, n: 1.5 },
    new_value: { title: `after ${n} – ünïcode`, nested: { b: [1, null, 'x'], a: true } },
  }));
  return [orgId, 'system', '', '203.0.113.7', randomUUID(), JSON.stringify(rows), '', ''];
}

/** A database of its own with `chains` organizations' ids; organizations themselves are not needed, the trail outlives them. */
export async function startTrail(chains: number, store: BlobStore = fakeBlobStore()) {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await testDatabase());
  const admin = stack.use(await connect(database.adminUrl));
  const db = await openDatabase({ url: database.url('novax_worker'), poolMax: 4 });
  stack.defer(() => db.close());
  const signingKey = randomBytes(32).toString('base64');
  const signer = createSigner(signingKey);
  const organizations = Array.from({ length: chains }, () => randomUUID());
  const owned = stack.move();

  /** One transaction as the worker with `count` rows of an organization. */
  const write = async (
    client: Client,
    work: { orgId: string; count?: number; end?: 'commit' | 'rollback' | 'open' },
  ) => {
    await client.query('begin');
    await client.query(`select set_config('app.current_org_id', $1, true)`, [work.orgId]);
    await client.query(insertAudit.text, rowValues(work.orgId, work.count ?? 1));
    if (work.end !== 'open') await client.query(work.end ?? 'commit');
  };
  const seal = async (rowsPerRun?: number) => {
    let run;
    let sealed = 0;
    do {
      run = await sealSettled(db, signer, rowsPerRun === undefined ? {} : { rowsPerRun });
      sealed += run.rows;
    } while (run.more);
    return sealed;
  };

  return {
    database,
    admin,
    db,
    signer,
    signingKey,
    store,
    organizations,
    write,
    seal,
    /** Seals until nothing waits; other databases' transactions on the same server may hold it up for a moment. */
    sealAll: (rowsPerRun?: number) =>
      eventually(
        async () => {
          await seal(rowsPerRun);
          const { rows } = await admin.query<{ pending: string }>('select pending from private.audit_state()');
          if (rows[0]?.pending !== '0') throw new Error(`${rows[0]?.pending} rows wait`);
        },
        { timeoutMs: 20_000, everyMs: 20 },
      ),
    anchor: () => anchorHeads({ db, store, signer }),
    /** Checks every chain by what this connection sees. */
    verify: async (client: Client = admin, by = signer): Promise<Map<string, ChainVerdict>> => {
      const ask = askOver(client);
      const anchors = await readAnchors(store, by, null);
      const found = await ask(allChains, []);
      const names = new Set([...found.map(({ chain }) => chain), ...anchors.keys()]);
      const verdicts = new Map<string, ChainVerdict>();
      for (const chain of names)
        verdicts.set(
          chain,
          await verifyChain(
            { ask, signer: by, anchored: anchors.get(chain) ?? null },
            chain === 'system' ? null : chain,
          ),
        );
      return verdicts;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
