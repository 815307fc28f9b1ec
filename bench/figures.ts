/** Figures of benchmarks, and how they are printed. */

export const print = (line: string): void => void process.stdout.write(`${line}\n`);
export const perSecond = (count: number, started: number): number => (count * 1000) / (performance.now() - started);
export const rate = (value: number | undefined): string => Math.round(value ?? 0).toLocaleString('en');
export const median = (values: readonly number[]): number => quantile(values, 0.5);
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
