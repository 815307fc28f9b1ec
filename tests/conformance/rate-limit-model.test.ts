/** Rate limits against a model: whatever the schedule of calls, no sliding window ever holds more than its limit, and nobody is refused in vain. */
import { redisRateLimiter } from '@novax/adapters/rate-limit';
import { closeRedis, connectRedis } from '@novax/adapters/redis';
import { fakeRateLimiter } from '@novax/adapters/fakes/rate-limit';
import type { RateDecision, RateWindow } from '@novax/domain/rate-limiter';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../kit/eventually.ts';
import { servers } from '../kit/servers.ts';
import { quiet, uniqueName } from './unique.ts';

let redis: Redis;
beforeAll(async () => {
  redis = await connectRedis({ url: servers().queueRedisUrl, log: quiet, name: 'test', mode: 'fail-fast' });
});
afterAll(() => closeRedis(redis));

/** A call: how long after the one before it, and in which of the windows it is to be counted. */
interface Step {
  readonly gapMs: number;
  readonly windows: readonly number[];
}
interface Schedule {
  readonly windows: readonly { readonly limit: number; readonly windowMs: number }[];
  readonly steps: readonly Step[];
}

const schedules = (calls: number): fc.Arbitrary<Schedule> =>
  fc.record({
    windows: fc.tuple(
      fc.record({ limit: fc.integer({ min: 1, max: 5 }), windowMs: fc.integer({ min: 10, max: 60 }) }),
      fc.record({ limit: fc.integer({ min: 1, max: 8 }), windowMs: fc.integer({ min: 10, max: 60 }) }),
    ),
    steps: fc.array(
      fc.record({
        gapMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 25 })),
        windows: fc.constantFrom([0], [1], [0, 1]),
      }),
      { minLength: 10, maxLength: calls },
    ),
  });

/** The admitted calls' times by window; knows nothing of how the limiter works. */
class Model {
  private readonly schedule: Schedule;
  private readonly admitted = new Map<number, number[]>();

  constructor(schedule: Schedule) {
    this.schedule = schedule;
  }

  /** Milliseconds from `now` until every window has room; 0 when all have. */
  waitMs(windows: readonly number[], now: number): number {
    return Math.max(0, ...windows.map((index) => this.waitOf(index, now)));
  }

  add(windows: readonly number[], now: number): void {
    for (const index of windows) this.admitted.set(index, [...(this.admitted.get(index) ?? []), now]);
  }

  private waitOf(index: number, now: number): number {
    const { limit = 0, windowMs = 0 } = this.schedule.windows[index] ?? {};
    const live = (this.admitted.get(index) ?? []).filter((at) => at > now - windowMs);
    return live.length < limit ? 0 : (live[live.length - limit] ?? now) + windowMs - now;
  }
}

function named({ windows }: Schedule): (step: Step) => RateWindow[] {
  const all = windows.map((window) => ({ ...window, key: uniqueName() }));
  return (step) => all.filter((_, index) => step.windows.includes(index));
}

test('the fake decides as the model does on a clock that stands still, and calls refused in between change nothing', async () => {
  await fc.assert(
    fc.asyncProperty(schedules(120), async (schedule) => {
      let now = 1_000_000;
      const limiter = fakeRateLimiter({ now: () => new Date(now) });
      const model = new Model(schedule);
      const windowsOf = named(schedule);
      for (const step of schedule.steps) {
        now += step.gapMs;
        const wait = model.waitMs(step.windows, now);
        const decision = await limiter.take(windowsOf(step));
        expect(decision.admitted).toBe(wait === 0);
        // The model never hears of refused calls: were a wait extended by them, it would differ here.
        if (decision.admitted) model.add(step.windows, now);
        else expect(decision.resetMs).toBe(wait);
      }
    }),
    { numRuns: 300 },
  );
});

test('the server decides as the model does on its own clock, and calls refused in between change nothing', async () => {
  const counts = { admitted: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(schedules(40), async (schedule) => {
      const limiter = redisRateLimiter(redis);
      const model = new Model(schedule);
      const windowsOf = named(schedule);
      for (const step of schedule.steps) {
        const from = performance.now() + step.gapMs;
        await eventually(() => expect(performance.now()).toBeGreaterThanOrEqual(from), { everyMs: 1 });
        const windows = windowsOf(step);
        const before = await serverMs();
        const decision = await limiter.take(windows);
        if (decision.admitted) {
          counts.admitted++;
          const at = await lastMs(windows);
          expect(model.waitMs(step.windows, at), 'admitted into a full window').toBe(0);
          model.add(step.windows, at);
        } else {
          counts.refused++;
          expectInTime(decision, {
            early: model.waitMs(step.windows, before),
            late: model.waitMs(step.windows, await serverMs()),
          });
        }
      }
    }),
    { numRuns: 25, endOnFailure: true },
  );
  process.stdout.write(`server against the model: ${counts.admitted} admitted, ${counts.refused} refused\n`);
  expect(counts.admitted).toBeGreaterThan(50);
  expect(counts.refused).toBeGreaterThan(50);
});

/** A refusal between two instants: the wait was due at the earlier one, and what it says lies between what both say, rounded up to a whole ms. */
function expectInTime({ resetMs }: RateDecision, { early, late }: { early: number; late: number }): void {
  expect(early, 'refused while every window had room').toBeGreaterThan(0);
  expect(resetMs).toBeLessThanOrEqual(Math.ceil(early));
  expect(resetMs).toBeGreaterThanOrEqual(Math.floor(late));
}

async function serverMs(): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

/** When the server counted the call just admitted. */
async function lastMs(windows: readonly RateWindow[]): Promise<number> {
  const [, score] = await redis.zrange(windows[0]?.key ?? '', '-1', '-1', 'WITHSCORES');
  return Number(score) / 1000;
}
