/** Many small calls at once become few large ones. */

/**
 * Gathers what is handed over in one turn of the event loop and passes it to `send` together, `max` at a time, in order. A call resolves or
 * rejects with the last of its own items; when a batch fails, so does every call that had a part in it.
 */
export function coalesced<T>(
  max: number,
  send: (items: readonly T[]) => Promise<void>,
): (items: readonly T[]) => Promise<void> {
  let gathered: { readonly items: T[]; readonly sent: Promise<void> } | undefined;
  const batch = (): { readonly items: T[]; readonly sent: Promise<void> } => {
    if (gathered !== undefined && gathered.items.length < max) return gathered;
    const items: T[] = [];
    const sent = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      if (gathered?.items === items) gathered = undefined;
      return send(items);
    });
    gathered = { items, sent };
    return gathered;
  };
  return async (items) => {
    const parts = new Set<Promise<void>>();
    for (const item of items) {
      const open = batch();
      open.items.push(item);
      parts.add(open.sent);
    }
    await Promise.all(parts);
  };
}
