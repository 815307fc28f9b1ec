/** Times as the contract has them. */

/** ISO 8601 in UTC, from either driver form. */
export function instant(value: string | Date): string {
  return typeof value === 'string' ? value : value.toISOString();
}
