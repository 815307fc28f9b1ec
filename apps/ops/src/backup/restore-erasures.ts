/** Who was erased since a backup was made is erased again before anything serves what was restored. */
import { erasuresPrefix } from '@novax/domain/users/erase';
import type { BlobStore } from '@novax/domain/ports';
import type pg from 'pg';
import { CommandFailure } from '../cli/command.ts';
import { rowOf, rowsOf } from '../database/connect.ts';

const named = /^erasures\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[.]json$/;

/** Ids of everybody whom the list in the store names; the names of its files say it all. Throws `CommandFailure` for a name that is none. */
export async function* erasedPeople(blobs: BlobStore): AsyncIterable<string> {
  for await (const key of blobs.list(erasuresPrefix)) {
    const id = named.exec(key)?.[1];
    if (id === undefined) throw new CommandFailure(`${key} in the store names nobody; nothing was restored`);
    yield id;
  }
}

/** The list, read before anything is changed for it; empty without one. */
export async function collected(list: (() => AsyncIterable<string>) | undefined): Promise<string[]> {
  const ids: string[] = [];
  if (list !== undefined) for await (const id of list()) ids.push(id);
  return ids;
}

/** Those of the list whom the restored data still has. */
export async function knownTo(client: pg.ClientBase, ids: readonly string[]): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(
    client,
    `select id from public.users where id = any ($1::uuid[]) and status <> 'deleted' order by id`,
    [[...ids]],
  );
  return rows.map(({ id }) => id);
}

/** True when the schema can erase. */
export async function hasFunction(client: pg.ClientBase): Promise<boolean> {
  const { there } = await rowOf<{ there: boolean }>(
    client,
    `select to_regprocedure('private.replay_erasure(uuid)') is not null as there`,
  );
  return there;
}

/** Erases each of them in the transaction under way. Throws `CommandFailure` when one stays. */
export async function eraseAgain(client: pg.ClientBase, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { erased } = await rowOf<{ erased: boolean }>(client, 'select private.replay_erasure($1::uuid) as erased', [
      id,
    ]);
    if (!erased) throw new CommandFailure(`user ${id} could not be erased again; nothing was restored`);
  }
}
