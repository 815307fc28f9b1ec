/** What the database says happened, read as novax_backup, which sees everything and changes nothing. */
import pg from 'pg';

export interface Figures {
  readonly documents: number;
  readonly embedded: number;
  readonly summarized: number;
  readonly vectors: number;
  readonly auditRows: number;
  readonly eventsPublished: number;
  readonly eventsPending: number;
  readonly eventsFailed: number;
  readonly deadLetters: number;
  /** Median and 95th percentile of the time from an event's row to the stream's acknowledgement, milliseconds. */
  readonly publishP50Ms: number | null;
  readonly publishP95Ms: number | null;
  /** The same from a document's creation to its vectors. */
  readonly embedP50Ms: number | null;
  readonly embedP95Ms: number | null;
}

export interface FiguresReader extends AsyncDisposable {
  /** Counts of one project's documents and of the organization's rows. */
  read(scope: { readonly organizationId: string; readonly projectId: string }): Promise<Figures>;
}

const sql = `
  with d as (select id, org_id, created_at, ai_summary, content_hash from documents where project_id = $2::uuid and status = 'active'),
       e as (select d.id, min(v.created_at) - d.created_at as took from d
               join ai_embeddings v on v.org_id = d.org_id and v.document_id = d.id and v.content_hash = d.content_hash
              where v.chunk_no = 0 group by d.id, d.created_at),
       p as (select published_at - created_at as took from events where org_id = $1::uuid and status = 'published')
  select (select count(*) from d)::int as documents,
         (select count(*) from e)::int as embedded,
         (select count(*) from d where ai_summary is not null)::int as summarized,
         (select count(*) from ai_embeddings where org_id = $1::uuid)::int as vectors,
         (select count(*) from audit_log where org_id = $1::uuid)::int as audit_rows,
         (select count(*) from p)::int as events_published,
         (select count(*) from events where status = 'pending')::int as events_pending,
         (select count(*) from events where status = 'failed')::int as events_failed,
         (select count(*) from dead_letters where status = 'pending')::int as dead_letters,
         (select extract(epoch from percentile_cont(0.5) within group (order by took)) * 1000 from p)::float8 as publish_p50,
         (select extract(epoch from percentile_cont(0.95) within group (order by took)) * 1000 from p)::float8 as publish_p95,
         (select extract(epoch from percentile_cont(0.5) within group (order by took)) * 1000 from e)::float8 as embed_p50,
         (select extract(epoch from percentile_cont(0.95) within group (order by took)) * 1000 from e)::float8 as embed_p95`;

interface Row {
  documents: number;
  embedded: number;
  summarized: number;
  vectors: number;
  audit_rows: number;
  events_published: number;
  events_pending: number;
  events_failed: number;
  dead_letters: number;
  publish_p50: number | null;
  publish_p95: number | null;
  embed_p50: number | null;
  embed_p95: number | null;
}

/** Opens nothing yet. A read whose connection was lost rejects; the next one connects anew. */
export function openFigures(backupUrl: string): FiguresReader {
  const pool = new pg.Pool({ connectionString: backupUrl, application_name: 'novax-figures', max: 1 });
  pool.on('error', () => undefined);
  return {
    async read({ organizationId, projectId }) {
      const { rows } = await pool.query<Row>(sql, [organizationId, projectId]);
      const [row] = rows;
      if (row === undefined) throw new Error('the figures query answered no row');
      return {
        documents: row.documents,
        embedded: row.embedded,
        summarized: row.summarized,
        vectors: row.vectors,
        auditRows: row.audit_rows,
        eventsPublished: row.events_published,
        eventsPending: row.events_pending,
        eventsFailed: row.events_failed,
        deadLetters: row.dead_letters,
        publishP50Ms: row.publish_p50,
        publishP95Ms: row.publish_p95,
        embedP50Ms: row.embed_p50,
        embedP95Ms: row.embed_p95,
      };
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
    },
  };
}
