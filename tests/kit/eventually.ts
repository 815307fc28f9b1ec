/** Waits for a fact to become true, in place of sleeping. */

/** Repeats `assertion` until it stops throwing and answers its value; after `timeoutMs` throws its last error. */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  options: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + (options.timeoutMs ?? 5000);
  for (;;) {
    try {
      return await assertion();
    } catch (thrown) {
      if (performance.now() >= deadline) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 10));
    }
  }
}
