/** The doors to the database: tenant transactions, a person's own, and the system's few. Nothing else opens a transaction. */
import type { EventPayload, EventType } from '@novax/contracts/events/registry';
import { systemClock, type Clock } from '@novax/runtime/clock';
import { crashAt } from '@novax/runtime/crash';
import { invariant } from '@novax/runtime/invariant';
import { retry } from '@novax/runtime/retry';
import { MikroORM, type EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import type { Actor, CallInfo } from './actor.ts';
import { auditValues, insertAudit, type AuditEntry } from './audit.ts';
import { entities } from './entities/work.ts';
import { isTransient, toDatabaseError } from './errors.ts';
import { reclaimLostConnections } from './lost-connections.ts';
import { eventValues, insertEvents, pendingEvent, type PendingEvent } from './outbox.ts';
import type { PersonKeys, PersonSealer } from './person-keys.ts';
import type { Scope } from './scope.ts';
import type { Statement, Value } from './statement.ts';

/** A transaction that takes compiled statements. */
export interface SqlTx {
  readonly now: Date;
  sql<Row>(statement: Statement<Row>, values: readonly Value[]): Promise<readonly Row[]>;
  /** Seals a text under a person's key, for the trail; null when the key was destroyed, or this process has none. */
  seal: PersonSealer['seal'];
}

/** The only door to tenant data: one organization, one actor, and their trail. */
export interface TenantTx extends SqlTx {
  readonly orgId: string;
  readonly actor: Actor;
  readonly call: CallInfo;
  /** The unit of work; for `packages/db` queries. */
  readonly em: EntityManager;
  /** Schedules an entity to be inserted. */
  add(entity: object): void;
  /** Sends what the unit of work holds to the database, so that statements after it see it. */
  flush(): Promise<void>;
  /** An event that exists if and only if this transaction commits. */
  emit<T extends EventType>(
    type: T,
    payload: EventPayload<T>,
    aggregate: { readonly id: string; readonly version: number },
  ): void;
  /** A row of the audit trail that exists if and only if this transaction commits. */
  audit(entry: AuditEntry): void;
}

export interface TenantContext {
  readonly orgId: string;
  readonly actor: Actor;
  readonly call: CallInfo;
}

export interface Database {
  /**
   * Runs `work` in one transaction for one organization; audit rows and then events are inserted last, in that order.
   * Serialization failures, deadlocks and lock waits are run again, at most five times, so `work` must have no effect outside.
   * Throws `AppError`.
   */
  tenant<T>(context: TenantContext, work: (tx: TenantTx) => Promise<T>): Promise<T>;
  /** Runs `work` as a person (or nobody yet: null) in no organization; for the named functions that stand before membership. */
  person<T>(userId: string | null, work: (tx: SqlTx) => Promise<T>): Promise<T>;
  /** Runs `work` without an organization under this process's own role; `reason` says why it may, and makes the exceptions countable. */
  inSystem<T>(reason: string, work: (tx: SqlTx) => Promise<T>): Promise<T>;
  /** Throws when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. */
  readonly poolMax: number;
  readonly clock?: Clock;
  readonly onQuery?: (statement: string, seconds: number) => void;
  /** Optional: absent in processes that record nothing personal. */
  readonly personKeys?: PersonKeys;
}

/** Connects lazily; the first transaction opens the first connection. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const clock = options.clock ?? systemClock;
  const orm = await MikroORM.init({
    clientUrl: options.url,
    entities,
    pool: { min: 0, max: options.poolMax, idleTimeoutMillis: 30_000 },
    driverOptions: {
      connectionTimeoutMillis: 2_000,
      application_name: 'novax',
      onPoolCreated: reclaimLostConnections,
    },
    // Identity maps must never be shared between calls.
    allowGlobalContext: false,
    implicitTransactions: true,
    ensureDatabase: false,
    forceUtcTimezone: true,
    timezone: 'UTC',
  });

  function transaction<T>(scope: Scope, work: (em: EntityManager, tx: SqlTx) => Promise<T>): Promise<T> {
    const attempt = async (): Promise<T> => {
      let sealer: PersonSealer | undefined;
      const fork = orm.em.fork({
        session: { variables: { 'app.current_user_id': scope.userId ?? '', 'app.current_org_id': scope.orgId ?? '' } },
      });
      const result = await fork.transactional((em) => {
        const sql = bindStatements(em, options.onQuery);
        sealer = options.personKeys?.sealer(sql);
        const { seal } = sealer ?? sealsNothing;
        return work(em, { now: clock.now(), sql, seal });
      });
      sealer?.committed();
      return result;
    };
    return retry(attempt, { attempts: 5, baseMs: 10, capMs: 200, when: isTransient }).catch((thrown: unknown) => {
      throw toDatabaseError(thrown);
    });
  }

  return {
    tenant: (context, work) =>
      transaction({ userId: context.actor.userId, orgId: context.orgId }, async (em, sqlTx) => {
        const audited: AuditEntry[] = [];
        const emitted: PendingEvent[] = [];
        const { now, sql, seal } = sqlTx;
        const result = await work({
          ...context,
          ...sqlTx,
          em,
          add: (entity) => void em.persist(entity),
          flush: () => em.flush(),
          emit: (type, payload, aggregate) => void emitted.push(pendingEvent(type, payload, aggregate)),
          audit: (entry) => void audited.push(entry),
        });
        await em.flush();
        if (audited.length > 0) await sql(insertAudit, await auditValues(context, audited, seal));
        if (emitted.length > 0) await sql(insertEvents, eventValues({ ...context, now }, emitted));
        crashAt('tx.before_commit');
        return result;
      }).then((result) => {
        crashAt('tx.after_commit');
        return result;
      }),
    person: (userId, work) => transaction({ userId, orgId: null }, (_em, tx) => work(tx)),
    inSystem: (_reason, work) => transaction({ userId: null, orgId: null }, (_em, tx) => work(tx)),
    async ping() {
      await transaction({ userId: null, orgId: null }, (_em, { sql }) => sql({ name: 'ping', text: 'select 1' }, []));
    },
    close: () => orm.close(true),
  };
}

/** For processes without keys: what is personal is left out of their records. */
const sealsNothing: Pick<PersonSealer, 'seal'> = { seal: async () => null };

/** Sends statements with bound values on the transaction's own connection. */
function bindStatements(em: EntityManager, onQuery: DatabaseOptions['onQuery']): SqlTx['sql'] {
  return async <Row>(statement: Statement<Row>, values: readonly Value[]) => {
    // Inside a transaction the ORM's context is the Kysely transaction (the driver is built on Kysely).
    const connection = em.getTransactionContext<Kysely<unknown>>();
    invariant(connection !== undefined, 'a statement runs inside a transaction');
    const started = performance.now();
    const result = await connection.executeQuery<Row>(CompiledQuery.raw(statement.text, [...values]));
    onQuery?.(statement.name, (performance.now() - started) / 1000);
    return result.rows;
  };
}
