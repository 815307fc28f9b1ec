/** Remembers for a minute who was seen to belong to which organization, so that counting a call need not ask the database each time. */
import type { Clock } from '@novax/runtime/clock';

const rememberedMs = 60_000;
const entriesMax = 20_000;

/** For counting alone, never for access: somebody removed is still counted as a member for up to a minute. Holds at most 20,000 pairs. */
export function createKnownMembers(clock: Clock) {
  const until = new Map<string, number>();
  const now = (): number => clock.now().getTime();
  return {
    has: (userId: string, orgId: string): boolean => (until.get(`${userId} ${orgId}`) ?? 0) > now(),
    add(userId: string, orgId: string): void {
      const pair = `${userId} ${orgId}`;
      // Last in, last out.
      until.delete(pair);
      until.set(pair, now() + rememberedMs);
      const [oldest] = until.keys();
      if (until.size > entriesMax && oldest !== undefined) until.delete(oldest);
    },
  };
}
