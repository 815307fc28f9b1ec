/** Judges a history: what was lost, done twice, done in the wrong order, done though it never happened, or never finished. */
import type { Change, Moment } from './history.ts';

export const anomalies = [
  /** A write that committed has no effect at some consumer. */
  'lost',
  /** A consumer has two effects of one event. */
  'duplicate effect',
  /** A consumer applied an older version of an aggregate after a newer one. */
  'order inversion',
  /** A consumer has an effect of a write that certainly did not commit. */
  'aborted read',
  /** A consumer has an effect that nobody ever asked for. */
  'phantom',
  /** A write was invoked and never ended. */
  'stuck',
  /** A consumer has a later version of an aggregate and lacks an earlier one that committed, though both were owed. */
  'gap',
  /** A history that contradicts itself: two ends of one write, an end without a beginning. */
  'malformed',
] as const;
export type Anomaly = (typeof anomalies)[number];

export interface Finding {
  readonly anomaly: Anomaly;
  readonly eventId: string;
  readonly detail: string;
}

/**
 * Every anomaly in a finished history. `consumers` are those that owe an effect per committed write. A write that ended `info` may have an
 * effect or none, but the same at every consumer; a missing effect that is followed by a later one of its aggregate is a `gap`, otherwise `lost`.
 * No gap is what the consumer itself noted as overtaken: it had applied the newer event when the older one came again.
 */
export function checkHistory(moments: readonly Moment[], consumers: readonly string[]): Finding[] {
  const { ends, findings } = endsOf(moments);
  for (const consumer of consumers) {
    const effects = moments.filter((moment) => moment.type === 'effect' && moment.consumer === consumer);
    findings.push(...judgeEffects(effects, ends, consumer), ...judgeOwed(moments, effects, { ends, consumer }));
  }
  findings.push(...judgeUnknown(moments, ends, consumers));
  return findings;
}

type End = 'open' | 'ok' | 'fail' | 'info';

function endsOf(moments: readonly Moment[]): { ends: Map<string, End>; findings: Finding[] } {
  const ends = new Map<string, End>();
  const findings: Finding[] = [];
  const malformed = (eventId: string, detail: string): number =>
    findings.push({ anomaly: 'malformed', eventId, detail });
  for (const moment of moments) {
    if (moment.type === 'effect' || moment.type === 'overtaken') continue;
    const { type, eventId } = moment;
    const before = ends.get(eventId);
    if (type === 'invoke') {
      if (before !== undefined) malformed(eventId, 'invoked twice');
      ends.set(eventId, 'open');
    } else {
      if (before === undefined) malformed(eventId, `${type} without an invocation`);
      else if (before !== 'open') malformed(eventId, `${type} after ${before}`);
      ends.set(eventId, type);
    }
  }
  for (const [eventId, end] of ends) {
    if (end === 'open') findings.push({ anomaly: 'stuck', eventId, detail: 'invoked, never ended' });
  }
  return { ends, findings };
}

/** What stands there and should not. */
function judgeEffects(effects: readonly Moment[], ends: ReadonlyMap<string, End>, consumer: string): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const newest = new Map<string, number>();
  for (const { eventId, aggregate, version } of effects) {
    const found = (anomaly: Anomaly, detail: string): number =>
      findings.push({ anomaly, eventId, detail: `${consumer}: ${detail}` });
    if (seen.has(eventId)) found('duplicate effect', `version ${version} of ${aggregate} again`);
    else if ((newest.get(aggregate) ?? 0) > version)
      found('order inversion', `version ${version} of ${aggregate} after ${newest.get(aggregate)}`);
    seen.add(eventId);
    newest.set(aggregate, Math.max(newest.get(aggregate) ?? 0, version));
    const end = ends.get(eventId);
    if (end === undefined) found('phantom', `version ${version} of ${aggregate}`);
    if (end === 'fail') found('aborted read', `version ${version} of ${aggregate} never committed`);
  }
  return findings;
}

/** What should stand there and does not. */
function judgeOwed(
  moments: readonly Moment[],
  effects: readonly Moment[],
  { ends, consumer }: { readonly ends: ReadonlyMap<string, End>; readonly consumer: string },
): Finding[] {
  const seen = new Set(effects.map(({ eventId }) => eventId));
  const overtaken = new Set(
    moments.flatMap((moment) => (moment.type === 'overtaken' && moment.consumer === consumer ? [moment.eventId] : [])),
  );
  const newest = new Map<string, number>();
  for (const { aggregate, version } of effects) newest.set(aggregate, Math.max(newest.get(aggregate) ?? 0, version));
  return changesOf(moments)
    .filter(({ eventId }) => ends.get(eventId) === 'ok' && !seen.has(eventId))
    .filter(({ eventId, aggregate, version }) => !overtaken.has(eventId) || (newest.get(aggregate) ?? 0) <= version)
    .map(({ eventId, aggregate, version }) => ({
      anomaly: (newest.get(aggregate) ?? 0) > version ? 'gap' : 'lost',
      eventId,
      detail: `${consumer}: version ${version} of ${aggregate}`,
    }));
}

/** Whether a write of unknown end happened must be the same for everybody. */
function judgeUnknown(
  moments: readonly Moment[],
  ends: ReadonlyMap<string, End>,
  consumers: readonly string[],
): Finding[] {
  return changesOf(moments)
    .filter(({ eventId }) => ends.get(eventId) === 'info')
    .flatMap(({ eventId }) => {
      const by = new Set(
        moments.flatMap((moment) =>
          (moment.type === 'effect' || moment.type === 'overtaken') && moment.eventId === eventId
            ? [moment.consumer]
            : [],
        ),
      );
      const without = consumers.filter((consumer) => !by.has(consumer));
      return by.size === 0 || without.length === 0
        ? []
        : [{ anomaly: 'lost', eventId, detail: `${without.join(', ')}: has no effect that others have` } as const];
    });
}

function changesOf(moments: readonly Moment[]): Change[] {
  return moments.filter(({ type }) => type === 'invoke');
}
