/** Dead letters as an operator sees them, and the two ends they come to: replayed or dropped, each with its row in the audit trail. */
import type pg from 'pg';
import { rowsOf } from '../database/connect.ts';

export const letterSources = ['outbox', 'consumer', 'job'] as const;
export type LetterSource = (typeof letterSources)[number];
export const letterStatuses = ['pending', 'replayed', 'dropped'] as const;
export type LetterStatus = (typeof letterStatuses)[number];

export interface DeadLetter {
  readonly id: string;
  readonly source: LetterSource;
  /** Consumer, job, or type of event. */
  readonly name: string;
  readonly status: LetterStatus;
  readonly organizationId: string | null;
  readonly eventId: string | null;
  readonly error: string;
  readonly attempts: number;
  readonly createdAt: string;
  readonly resolvedAt: string | null;
}

export interface WholeLetter extends DeadLetter {
  readonly payload: unknown;
  /** Of a message, with its stream, sequence and subject as `Nats-…`; else empty. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface LetterFilter {
  readonly source: LetterSource | null;
  readonly name: string | null;
  readonly status: LetterStatus | null;
  readonly limit: number;
}

const columns = `id, source, name, status, org_id as "organizationId", event_id as "eventId", error, attempts,
  to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "createdAt",
  to_char(resolved_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "resolvedAt"`;

/** Letters that fit, oldest first. */
export function listLetters(client: pg.ClientBase, filter: LetterFilter): Promise<DeadLetter[]> {
  const { source, name, status, limit } = filter;
  return rowsOf<DeadLetter & pg.QueryResultRow>(
    client,
    `select ${columns} from public.dead_letters
      where ($1::varchar is null or source = $1) and ($2::varchar is null or name = $2) and ($3::varchar is null or status = $3)
      order by created_at, id limit $4`,
    [source, name, status, limit],
  );
}

/** One letter with all it holds; `lock` keeps others from deciding about it until the transaction ends. */
export async function letterById(
  client: pg.ClientBase,
  id: string,
  options: { readonly lock?: boolean } = {},
): Promise<WholeLetter | undefined> {
  const [letter] = await rowsOf<WholeLetter & pg.QueryResultRow>(
    client,
    `select ${columns}, payload, headers from public.dead_letters where id = $1 ${options.lock === true ? 'for update' : ''}`,
    [id],
  );
  return letter;
}

/** What `act` adds to the entry of the trail. */
export type ActFacts = Readonly<Record<string, string>>;

/** `done`, or the status that stood in the way, or `unknown`. */
export type Outcome = 'done' | 'replayed' | 'dropped' | 'unknown';

/**
 * Ends a waiting letter in one transaction: locks it, does `act`, notes what became of it and who did so. A death after `act` leaves the letter
 * waiting, so `act` must be harmless to repeat.
 */
export async function resolveLetter(
  client: pg.ClientBase,
  id: string,
  end: {
    readonly status: 'replayed' | 'dropped';
    readonly reason: string | null;
    readonly act: (letter: WholeLetter) => Promise<ActFacts>;
  },
): Promise<Outcome> {
  await client.query('begin');
  try {
    const letter = await letterById(client, id, { lock: true });
    if (letter?.status !== 'pending') {
      await client.query('rollback');
      return letter?.status ?? 'unknown';
    }
    const facts = await end.act(letter);
    await client.query('update public.dead_letters set status = $2, resolved_at = now() where id = $1', [
      id,
      end.status,
    ]);
    await client.query(
      `select private.audit_system('system', null, 'update', 'dead_letters', $1, jsonb_build_object('status', 'pending'),
                                   jsonb_strip_nulls(jsonb_build_object('status', $2::text, 'reason', $3::text)) || $4::jsonb)`,
      [id, end.status, end.reason, JSON.stringify(facts)],
    );
    await client.query('commit');
    return 'done';
  } catch (thrown) {
    await client.query('rollback').catch(() => undefined);
    throw thrown;
  }
}
