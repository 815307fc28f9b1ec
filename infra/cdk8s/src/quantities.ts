/** Kubernetes quantities as numbers, so that limits can be compared and server settings derived from them. */

const BYTE_FACTORS: Readonly<Record<string, number>> = {
  'Ki': 2 ** 10,
  'Mi': 2 ** 20,
  'Gi': 2 ** 30,
  'Ti': 2 ** 40,
  'k': 1e3,
  'M': 1e6,
  'G': 1e9,
  'T': 1e12,
  '': 1,
};

/** Bytes of a memory or storage quantity (`512Mi`, `8Gi`, `500M`); undefined when the text is none. */
export function bytesOf(quantity: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)$/.exec(quantity);
  const factor = BYTE_FACTORS[match?.[2] ?? '?'];
  return match === null || factor === undefined ? undefined : Number(match[1]) * factor;
}

/** Thousandths of a CPU of a quantity (`500m`, `2`, `1.5`); undefined when the text is none. */
export function milliCpuOf(quantity: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(quantity);
  return match === null ? undefined : Number(match[1]) * (match[2] === 'm' ? 1 : 1000);
}

/** The given share (0..1) of a memory quantity in whole MiB, at least 1. Throws RangeError when the text is no quantity. */
export function shareInMiB(quantity: string, share: number): number {
  const bytes = bytesOf(quantity);
  if (bytes === undefined) throw new RangeError(`not a memory quantity: ${quantity}`);
  return Math.max(1, Math.floor((bytes * share) / 2 ** 20));
}
