/** Vectors in pgvector's text form. */

/** `[0.1,0.2,…]`; seven significant digits are all a 32-bit float holds. */
export function vectorText(vector: Float32Array): string {
  return `[${Array.from(vector, (value) => Number(value.toPrecision(7))).join(',')}]`;
}
