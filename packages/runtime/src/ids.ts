/** New ids. */
import { v7 } from 'uuid';

/** A UUID version 7 (RFC 9562): unique, and ordered by the millisecond it was made in. */
export function newId(): string {
  return v7();
}
