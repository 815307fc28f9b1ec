/** The end of an HTTP server that callers may hold open. */
import type { Server } from 'node:http';

/** Stops accepting, lets calls in hand end within `patienceMs`, and closes idle connections at once. */
export async function closeServer(server: Server, patienceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // One caller who never ends a request must not use up the time that the other closers need.
  const late = setTimeout(() => server.closeAllConnections(), patienceMs);
  await closed;
  clearTimeout(late);
}
