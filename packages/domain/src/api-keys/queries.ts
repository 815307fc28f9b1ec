/** Reads of API keys through the read lane. */
import type { Page } from '@novax/contracts/page';
import { apiKeyView, listApiKeys as listStatement } from '@novax/db/queries/api-keys';
import { readCursor, toPage } from '@novax/db/queries/cursor';
import type { Reader } from '../reader.ts';

/** An organization's keys, newest first, revoked ones among them; the gate has seen that the caller may. */
export async function listApiKeys(
  reader: Reader,
  input: { readonly organizationId: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Page<ReturnType<typeof apiKeyView>>> {
  const { at, id } = readCursor(input.cursor);
  const rows = await reader.read(listStatement, [input.organizationId, at, id, input.limit + 1]);
  return toPage(rows, input.limit, apiKeyView);
}
