/** What must not compile: each expectation below is an error of `tsc`, and an unused one fails the type gate. */
import { expect, expectTypeOf, test } from 'vitest';
import type { NovaxClient } from './client.ts';
import { isNovaxError, type NovaxError } from './errors.ts';

/** Compiled, never called. */
export async function proofs(novax: NovaxClient): Promise<void> {
  const created = await novax.documents.create.mutate({ projectId: 'p', title: 't', content: 'c' });
  expectTypeOf(created.version).toEqualTypeOf<number>();
  expectTypeOf(created.status).toEqualTypeOf<'draft' | 'active' | 'archived' | 'deleted'>();
  const page = await novax.documents.list.query({ projectId: 'p', limit: 5 });
  expectTypeOf(page.nextCursor).toEqualTypeOf<string | null>();
  const found = await novax.search.query.query({ organizationId: 'o', q: 'words', mode: 'hybrid' });
  expectTypeOf(found.hits[0]?.score).toEqualTypeOf<number | undefined>();
  const user = await novax.session.register({ email: 'e', username: 'u', password: 'p' });
  expectTypeOf(user.username).toEqualTypeOf<string>();

  // @ts-expect-error a required field is missing
  await novax.documents.create.mutate({ projectId: 'p', title: 't' });
  // @ts-expect-error a field has the wrong type
  await novax.documents.create.mutate({ projectId: 1, title: 't', content: 'c' });
  // @ts-expect-error a field is unknown
  await novax.documents.create.mutate({ projectId: 'p', title: 't', content: 'c', colour: 'red' });
  // @ts-expect-error a value is outside its enumeration
  await novax.search.query.query({ organizationId: 'o', q: 'words', mode: 'magic' });
  // @ts-expect-error an update names the version it read
  await novax.documents.update.mutate({ id: 'd', title: 't' });
  // @ts-expect-error a query is not a mutation
  await novax.documents.get.mutate({ id: 'd' });
  // @ts-expect-error the contract has no such procedure
  await novax.documents.explode.mutate({ id: 'd' });
  // @ts-expect-error a list item has no content
  void page.items[0]?.content;
  // @ts-expect-error sign-in takes an e-mail address, not a user name
  await novax.session.login({ username: 'u', password: 'p' });
}

/** Compiled, never called. */
export function errorProofs(thrown: unknown): void {
  if (!isNovaxError(thrown)) return;
  expectTypeOf(thrown).toExtend<NovaxError>();
  // @ts-expect-error the error table has no such code
  if (thrown.code === 'OOPS') return;
  expectTypeOf(thrown.issues[0]?.path).toEqualTypeOf<string | undefined>();
}

test('an error of anybody else is not a NovaxError', () => {
  expect(isNovaxError(new Error('x'))).toBe(false);
  expect(isNovaxError(Object.assign(new Error('x'), { code: 'INTERNAL' }))).toBe(false);
  expect(isNovaxError(null)).toBe(false);
});
