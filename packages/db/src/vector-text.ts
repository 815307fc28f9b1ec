/** Vectors in pgvector's text form. */
import { toSql } from 'pgvector';

/** `[0.1,0.2,…]`; seven significant digits are all that a 32-bit float holds. */
export function vectorText(vector: Float32Array): string {
  return String(toSql(Array.from(vector, (value) => Number(value.toPrecision(7)))));
}
