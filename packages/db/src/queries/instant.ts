/** Times as the contract has them, from whichever form a driver gives. */

/** ISO 8601 in UTC with milliseconds; text may be PostgreSQL's `2026-11-22 21:15:00.123456+00` in any time zone. */
export function instant(value: string | Date): string {
  if (typeof value !== 'string') return value.toISOString();
  if (value.endsWith('Z')) return value;
  return new Date(value.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')).toISOString();
}
