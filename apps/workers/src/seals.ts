/** The sealer: keeps the chains of the audit trail at most a moment behind it. */
import { wakeSubject } from '@novax/contracts/events/envelope';
import { sealState } from '@novax/db/queries/audit-seals';
import type { Database } from '@novax/db/tx';
import { sealSettled } from '@novax/domain/audit/seal';
import type { EventBus } from '@novax/domain/ports';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import type { Signer } from '@novax/runtime/signing';
import { startRounds } from './rounds.ts';

export interface SealsOptions {
  readonly db: Database;
  readonly bus: Pick<EventBus, 'onHint'>;
  readonly signer: Signer;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Longest wait after the shortest one, milliseconds. */
const idleMs = 250;
/** Shortest: many changes share a seal, and sealing takes little from those who write. */
const gapMs = 250;
const stateEveryMs = 2_000;

/** Runs until stopped, after the run in hand. A lost server costs time, never a row. */
export function startSeals(options: SealsOptions): () => Promise<void> {
  const { db, log, signer } = options;
  let stateAt = 0;
  return startRounds({
    bus: options.bus,
    subject: wakeSubject,
    gapMs,
    idleMs,
    log,
    what: 'sealing the audit trail',
    async round() {
      const { more } = await sealSettled(db, signer);
      if (Date.now() >= stateAt) {
        stateAt = Date.now() + stateEveryMs;
        await reportState(options);
      }
      return more;
    },
  });
}

async function reportState({ db, metrics }: SealsOptions): Promise<void> {
  const [state] = await db.inSystem('the horizon is of every organization', (tx) => tx.sql(sealState, []));
  if (state === undefined) return;
  metrics.auditSealLag.set(state.lag_seconds);
  if (state.anchor_age_seconds !== null) metrics.auditAnchorAge.set(state.anchor_age_seconds);
}
