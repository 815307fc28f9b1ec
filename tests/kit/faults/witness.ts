/** A consumer that leaves a trace of every event it applies, as a process of its own: what the tests of lost and repeated events look at. */
import { connectBus } from '@novax/adapters/bus';
import { receive } from '@novax/db/queries/inbox';
import { statement } from '@novax/db/statement';
import { openDatabase } from '@novax/db/tx';
import { armCrash } from '@novax/runtime/crash';
import { createLogger } from '@novax/runtime/log';

/** Made by the tests in their own database; `n` is the order in which effects committed, because there is one witness at a time. */
export const witnessTable = `
  create table public.witnessed (
    n bigint generated always as identity, consumer varchar not null, event_id uuid not null, event_type varchar not null,
    aggregate_id uuid not null, version integer not null);
  grant insert on public.witnessed to novax_worker`;

const trace = statement<Record<string, never>>(
  'witness',
  `insert into public.witnessed (consumer, event_id, event_type, aggregate_id, version) values ($1, $2::uuid, $3, $4::uuid, $5::int)`,
);

/** Runs until it is killed. Settings: DATABASE_WORKER_URL, NATS_URL, NATS_NAMESPACE, WITNESS (its name), ACK_WAIT_MS, NOVAX_CRASH_AT. */
export async function runWitness(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const log = createLogger({ name: 'witness', level: 'info' });
  const name = env['WITNESS'] ?? 'witness';
  armCrash(env['NOVAX_CRASH_AT']);
  const db = await openDatabase({ url: env['DATABASE_WORKER_URL'] ?? '', poolMax: 2 });
  const bus = await connectBus({
    url: env['NATS_URL'] ?? '',
    namespace: env['NATS_NAMESPACE'],
    log,
    ackWaitMs: Number(env['ACK_WAIT_MS'] ?? 1_000),
  });
  await bus.consume({
    name,
    subjects: ['novax.events.document.>'],
    handle: (event) =>
      db.inSystem('a witness sees every organization', async (tx) => {
        const { id, aggregate, organizationId, occurredAt } = event;
        const first = await receive(tx, { consumer: name, eventId: id, occurredAt, organizationId, aggregate });
        if (first) await tx.sql(trace, [name, id, event.type, aggregate.id, aggregate.version]);
      }),
  });
  log.info('watching');
}
