/** A consumer that leaves a trace of every event it applies, as a process of its own: what the tests of lost and repeated events look at. */
import { connectBus } from '@novax/adapters/bus';
import { receive } from '@novax/db/queries/inbox';
import { statement } from '@novax/db/statement';
import { openDatabase } from '@novax/db/tx';
import { pause } from '@novax/runtime/clock';
import { armCrash } from '@novax/runtime/crash';
import { createLogger } from '@novax/runtime/log';

/** Made by the tests in their own database; `n` is the order in which effects committed, because there is one witness at a time. */
export const witnessTable = `
  create table public.witnessed (
    n bigint generated always as identity, consumer varchar not null, event_id uuid not null, event_type varchar not null,
    aggregate_id uuid not null, version integer not null);
  create table public.attempted (event_id uuid not null, at timestamptz not null default clock_timestamp());
  grant insert on public.witnessed, public.attempted to novax_worker`;

const trace = statement<Record<string, never>>(
  'witness',
  `insert into public.witnessed (consumer, event_id, event_type, aggregate_id, version) values ($1, $2::uuid, $3, $4::uuid, $5::int)`,
);

const attempt = statement<Record<string, never>>(
  'attempt',
  'insert into public.attempted (event_id) values ($1::uuid)',
);

/** What a poisonous event does to its handler. */
export type Poison = 'throws' | 'hangs' | 'exits';

/**
 * Runs until it is killed. Settings: DATABASE_WORKER_URL, NATS_URL, NATS_NAMESPACE, WITNESS (its name), ACK_WAIT_MS, NOVAX_CRASH_AT; SLOW_MS before
 * each effect; POISON (what happens) at the first event of the document POISONED, after its try was noted in `attempted`.
 */
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
    handleWithinMs: Number(env['HANDLE_WITHIN_MS'] ?? 60_000),
    retryBaseMs: Number(env['RETRY_BASE_MS'] ?? 1_000),
  });
  const noted = env['POISONED'] !== undefined || env['SLOW_MS'] !== undefined;
  await bus.consume({
    name,
    subjects: ['novax.events.document.>'],
    async handle(event) {
      if (noted) await db.inSystem('a witness sees every organization', (tx) => tx.sql(attempt, [event.id]));
      if (event.aggregate.id === env['POISONED'] && event.aggregate.version === 1) await poisoned(env['POISON']);
      await pause(Number(env['SLOW_MS'] ?? 0));
      await db.inSystem('a witness sees every organization', async (tx) => {
        const { id, aggregate, organizationId, occurredAt } = event;
        const first = await receive(tx, { consumer: name, eventId: id, occurredAt, organizationId, aggregate });
        if (first) await tx.sql(trace, [name, id, event.type, aggregate.id, aggregate.version]);
      });
    },
  });
  log.info('watching');
}

async function poisoned(how: string | undefined): Promise<void> {
  if (how === 'throws') throw new Error('poison: it throws');
  if (how === 'exits') process.kill(process.pid, 'SIGKILL');
  await new Promise(() => undefined);
}
