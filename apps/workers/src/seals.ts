/** The sealer: keeps the chains of the audit trail at most a moment behind it. */
import { wakeSubject } from '@novax/contracts/events/envelope';
import { sealState } from '@novax/db/queries/audit-seals';
import type { Database } from '@novax/db/tx';
import { sealSettled } from '@novax/domain/audit/seal';
import type { EventBus } from '@novax/domain/ports';
import { pause } from '@novax/runtime/clock';
import type { Logger } from '@novax/runtime/log';
import type { Metrics } from '@novax/runtime/metrics';
import type { Signer } from '@novax/runtime/signing';

export interface SealsOptions {
  readonly db: Database;
  readonly bus: Pick<EventBus, 'onHint'>;
  readonly signer: Signer;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Longest wait between two looks, milliseconds. */
const idleMaxMs = 500;
/** Shortest: many changes share a seal, and sealing takes little from those who write. */
const gapMs = 250;
const stateEveryMs = 2_000;

/** Runs until stopped, after the run in hand. A lost server costs time, never a row. */
export function startSeals(options: SealsOptions): () => Promise<void> {
  const { db, log, signer } = options;
  const stopping = new AbortController();
  let wake: () => void = () => undefined;
  let hinted = false;
  const unsubscribe = options.bus.onHint(wakeSubject, () => {
    hinted = true;
    wake();
  });

  async function idle(): Promise<void> {
    await pause(gapMs, stopping.signal);
    const woken = new AbortController();
    wake = () => woken.abort();
    if (!hinted) await pause(idleMaxMs - gapMs, AbortSignal.any([woken.signal, stopping.signal]));
    hinted = false;
  }

  async function run(): Promise<void> {
    let stateAt = 0;
    while (!stopping.signal.aborted) {
      try {
        const { more } = await sealSettled(db, signer);
        if (Date.now() >= stateAt) {
          stateAt = Date.now() + stateEveryMs;
          await reportState(options);
        }
        if (!more) await idle();
      } catch (err) {
        if (stopping.signal.aborted) return;
        log.warn({ err }, 'sealing the audit trail interrupted; starting again');
        await pause(idleMaxMs, stopping.signal);
      }
    }
  }

  const running = run();
  return async () => {
    stopping.abort();
    unsubscribe();
    await running;
  };
}

async function reportState({ db, metrics }: SealsOptions): Promise<void> {
  const [state] = await db.inSystem('the horizon is of every organization', (tx) => tx.sql(sealState, []));
  if (state === undefined) return;
  metrics.auditSealLag.set(state.lag_seconds);
  if (state.anchor_age_seconds !== null) metrics.auditAnchorAge.set(state.anchor_age_seconds);
}
