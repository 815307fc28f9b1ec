/** Prometheus metrics of a process, all named `novax_…`, and the small server that shows them. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { ReadyLine } from './ready.ts';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** One registry and its instruments; made per process (and per test), never global. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    httpRequestDuration: new Histogram({
      name: 'novax_http_request_duration_seconds',
      help: 'Time from the request to the end of its answer.',
      labelNames: ['face', 'procedure', 'code'],
      buckets: seconds,
      registers,
    }),
    dbQueryDuration: new Histogram({
      name: 'novax_db_query_duration_seconds',
      help: 'Time of one named statement, seen from the client.',
      labelNames: ['statement'],
      buckets: seconds,
      registers,
    }),
    outboxPending: new Gauge({ name: 'novax_outbox_pending', help: 'Events not yet published.', registers }),
    outboxLag: new Gauge({
      name: 'novax_outbox_lag_seconds',
      help: 'Age of the oldest event not yet published.',
      registers,
    }),
    outboxRefused: new Gauge({
      name: 'novax_outbox_refused',
      help: 'Events not yet published that the stream refused at least once.',
      registers,
    }),
    outboxFailed: new Gauge({
      name: 'novax_outbox_failed',
      help: 'Events that used up their attempts; their aggregates wait until somebody frees them.',
      registers,
    }),
    eventsRefused: new Counter({ name: 'novax_events_refused_total', help: 'Refusals by the stream.', registers }),
    eventsPublished: new Counter({
      name: 'novax_events_published_total',
      help: 'Events that the stream acknowledged.',
      registers,
    }),
    consumerLag: new Gauge({
      name: 'novax_consumer_lag',
      help: 'Messages a consumer has not acknowledged.',
      labelNames: ['consumer'],
      registers,
    }),
    dlqMessages: new Gauge({ name: 'novax_dlq_messages', help: 'Dead letters that nobody resolved.', registers }),
    mails: new Counter({
      name: 'novax_mails_total',
      help: 'Mails tried, by what became of them: sent, put_off, dropped or failed.',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    mailsPending: new Gauge({ name: 'novax_mails_pending', help: 'Mails not yet sent.', registers }),
    jobDuration: new Histogram({
      name: 'novax_job_duration_seconds',
      help: 'Time of one job.',
      labelNames: ['queue'],
      buckets: seconds,
      registers,
    }),
    queueOldest: new Gauge({
      name: 'novax_queue_oldest_seconds',
      help: 'How long the oldest job ready to be taken has waited, since it was first added.',
      labelNames: ['queue'],
      registers,
    }),
    workerRestarts: new Counter({
      name: 'novax_worker_restarts_total',
      help: 'Job workers started afresh because they left jobs waiting.',
      labelNames: ['queue'],
      registers,
    }),
    searchDuration: new Histogram({
      name: 'novax_search_duration_seconds',
      help: 'Time of one search.',
      labelNames: ['mode', 'engine'],
      buckets: seconds,
      registers,
    }),
    vectorSearchDuration: new Histogram({
      name: 'novax_vector_search_duration_seconds',
      help: 'Time of the nearest-neighbour statement.',
      labelNames: ['path'],
      buckets: seconds,
      registers,
    }),
    embeddingDuration: new Histogram({
      name: 'novax_embedding_duration_seconds',
      help: 'Time of one call to the embedding model.',
      labelNames: ['model'],
      buckets: seconds,
      registers,
    }),
    cacheRequests: new Counter({
      name: 'novax_cache_requests_total',
      help: 'Answers asked for: tier redis is the cache server, which may be in error or left alone (skipped); tier process is what another caller was waiting for.',
      labelNames: ['tier', 'result'],
      registers,
    }),
    viewStaleness: new Gauge({
      name: 'novax_view_staleness_seconds',
      help: 'Age of the oldest change that a materialized view does not show yet.',
      labelNames: ['view'],
      registers,
    }),
    partitionRunway: new Gauge({
      name: 'novax_partition_runway_days',
      help: 'Days until a table has no partition for new rows.',
      labelNames: ['table'],
      registers,
    }),
    removedRows: new Counter({
      name: 'novax_removed_rows_total',
      help: 'Rows that went by themselves: expired, or deleted longer ago than they are kept.',
      labelNames: ['table', 'reason'],
      registers,
    }),
    auditSealLag: new Gauge({
      name: 'novax_audit_seal_lag_seconds',
      help: 'Age of the oldest audit row that no seal covers.',
      registers,
    }),
    auditAnchorAge: new Gauge({
      name: 'novax_audit_anchor_age_seconds',
      help: 'Time since the heads of the audit chains were written outside the database.',
      registers,
    }),
    rateLimited: new Counter({
      name: 'novax_rate_limited_total',
      help: 'Calls refused by a rate limit.',
      labelNames: ['class'],
      registers,
    }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Serves `/metrics`, `/healthz` and `/readyz` on a port of its own, and what `page` answers below its path; 404 for everything else.
 * `/readyz` answers 200 only while every line is ok.
 */
export function createMetricsServer(options: {
  readonly metrics: Metrics;
  readonly ready: () => Promise<readonly ReadyLine[]>;
  readonly page?: { readonly path: string; readonly handle: RequestListener } | undefined;
}): Server {
  const { page } = options;
  return createServer((request, response) => {
    const [pathname = '/'] = (request.url ?? '/').split('?', 1);
    if (page !== undefined && (pathname === page.path || pathname.startsWith(`${page.path}/`))) {
      page.handle(request, response);
      return;
    }
    void answer(request.url ?? '/').catch(() => {
      response.writeHead(500).end();
    });

    async function answer(path: string): Promise<void> {
      if (path === '/metrics') {
        const body = await options.metrics.registry.metrics();
        response.writeHead(200, { 'content-type': options.metrics.registry.contentType }).end(body);
      } else if (path === '/healthz') {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
      } else if (path === '/readyz') {
        const lines = await options.ready();
        const ok = lines.every((line) => line.ok);
        response
          .writeHead(ok ? 200 : 503, { 'content-type': 'application/json' })
          .end(JSON.stringify({ ok, dependencies: lines }));
      } else response.writeHead(404).end();
    }
  });
}
