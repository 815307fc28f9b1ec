/** Gives the place of a connection that died in the middle of a transaction back to its pool. */
import type { Pool, PoolClient } from 'pg';

/**
 * From now on a connection that ends while it is in use leaves the pool, so that another can be opened. Kysely releases
 * a transaction's connection only after a ROLLBACK that succeeded, and on a dead connection none does: without this,
 * every such death would take one place for good.
 */
export function reclaimLostConnections(pool: Pool): void {
  const inUse = new Set<PoolClient>();
  pool.on('acquire', (client) => inUse.add(client));
  pool.on('release', (_error, client) => inUse.delete(client));
  pool.on('connect', (client) => {
    client.once('end', () => {
      if (!inUse.has(client)) return;
      client.release(true);
      // Whoever holds it may give it back once more; the pool would throw at that.
      client.release = () => undefined;
    });
  });
}
