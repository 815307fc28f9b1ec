/** What a restored database needs beyond its migrations: past months' partitions, vector indexes of later models, identity positions. */
import type pg from 'pg';
import { escapeIdentifier } from 'pg';
import { rowsOf } from '../database/connect.ts';
import type { Manifest } from './manifest.ts';

const MONTH = /^([a-z][a-z0-9_]*)_(\d{4})_(\d{2})$/;

/**
 * Makes the monthly partitions that the backup had and the keeper no longer makes, closed like its own. Only names are taken from the manifest;
 * the bounds follow from them, so a forged manifest cannot bring SQL of its own.
 */
export async function makePartitions(client: pg.ClientBase, manifest: Manifest): Promise<void> {
  const parents = new Set(
    (
      await rowsOf<{ name: string }>(
        client,
        `select c.relname as name from pg_partitioned_table p join pg_class c on c.oid = p.partrelid where p.partstrat = 'r' and c.relnamespace = 'public'::regnamespace`,
      )
    ).map(({ name }) => name),
  );
  for (const { parent, name } of manifest.tables.flatMap((table) => table.partitions)) {
    const [, stem, year, month] = MONTH.exec(name) ?? [];
    if (stem !== parent || !parents.has(parent)) throw new Error(`${name} is no monthly partition of ${parent}`);
    const from = new Date(Date.UTC(Number(year), Number(month) - 1, 1));
    const to = new Date(Date.UTC(Number(year), Number(month), 1));
    const table = `public.${escapeIdentifier(name)}`;
    const existing = await rowsOf(client, 'select from pg_class where oid = to_regclass($1)', [table]);
    if (existing.length > 0) continue;
    await client.query(`set local role novax_owner`);
    await client.query(
      `create table ${table} partition of public.${escapeIdentifier(parent)} for values from ('${utc(from)}') to ('${utc(to)}')`,
    );
    await client.query(`alter table ${table} enable row level security; alter table ${table} force row level security`);
    // Statement triggers are not inherited by partitions.
    const triggers = await rowsOf<{ definition: string }>(
      client,
      `select replace(pg_get_triggerdef(t.oid), format(' ON public.%I ', $1::text), format(' ON public.%I ', $2::text)) as definition
         from pg_trigger t where t.tgrelid = format('public.%I', $1::text)::regclass and not t.tgisinternal and t.tgtype & 1 = 0`,
      [parent, name],
    );
    for (const { definition } of triggers) await client.query(definition);
    await client.query('reset role');
  }
}

const utc = (date: Date): string => `${date.toISOString().slice(0, 10)} 00:00:00+00`;

/** Gives each registered embedding model the partial indexes that the first model has: they are made when a model is registered, not by a migration. */
export async function makeModelIndexes(client: pg.ClientBase): Promise<void> {
  const wanted = await rowsOf<{ definition: string }>(
    client,
    `select replace(replace(pg_get_indexdef(x.oid), '_embedding_model_' || first.id || ' ', '_embedding_model_' || m.id || ' '),
                    format('(model_id = %s)', first.id), format('(model_id = %s)', m.id)) as definition
       from public.embedding_models m,
            (select substring(relname from '_embedding_model_(\\d+)$') as id from pg_class where relkind = 'i' and relname ~ '^idx_ai_embeddings_p0_embedding_model_\\d+$' order by length(relname), relname limit 1) first
       join pg_class x on x.relkind = 'i' and x.relname ~ ('^idx_ai_embeddings_p\\d+_embedding_model_' || first.id || '$')
      where not exists (select from pg_class y where y.relname = replace(x.relname, '_embedding_model_' || first.id, '_embedding_model_' || m.id))`,
  );
  if (wanted.length === 0) return;
  // Parallel workers building HNSW overran their memory before pgvector 0.8.4.
  await client.query('set local max_parallel_maintenance_workers = 0; set local role novax_owner');
  for (const { definition } of wanted) await client.query(definition);
  await client.query('reset role');
}

/** Continues each identity where the saved database stood. */
export async function setIdentities(client: pg.ClientBase, manifest: Manifest): Promise<void> {
  for (const { schema, table, column, lastValue } of manifest.identities) {
    if (lastValue === '0') continue;
    await client.query(`select setval(pg_get_serial_sequence(format('%I.%I', $1::text, $2::text), $3), $4::bigint)`, [
      schema,
      table,
      column,
      lastValue,
    ]);
  }
}
