/** Times a piece of work, whatever becomes of it. */

/** Runs `work` and tells `observe` the seconds it took, also when it throws. */
export async function timed<T>(observe: (seconds: number) => void, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    return await work();
  } finally {
    observe((performance.now() - started) / 1000);
  }
}
