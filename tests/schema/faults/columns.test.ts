/** Columns that the specification uses and does not have. */
import { expect, test } from 'vitest';
import {
  AI_COLUMN_GRANT,
  DOCUMENT_CONTEXT_VIEW,
  DOCUMENT_STATUS_INDEX,
  originalDatabase,
  ourDatabase,
  run,
} from './original.ts';

const UNDEFINED_COLUMN = expect.objectContaining({ code: '42703' });

test('D1: documents has the status that the view and the composite index read', async () => {
  await using original = await originalDatabase();
  await expect(run(original.adminUrl, DOCUMENT_CONTEXT_VIEW)).rejects.toEqual(UNDEFINED_COLUMN);
  await expect(run(original.adminUrl, DOCUMENT_STATUS_INDEX)).rejects.toEqual(UNDEFINED_COLUMN);

  await using ours = await ourDatabase();
  const index = await run(
    ours.adminUrl,
    "select pg_get_indexdef('idx_documents_project_id_status_created_at'::regclass) as definition",
  );
  expect(index[0]?.['definition']).toContain('(project_id, status, created_at)');
  await expect(run(ours.adminUrl, "update documents set status = 'lost'")).rejects.toEqual(
    expect.objectContaining({ code: '23514' }),
  );
});

test('D2: documents has the ai_metadata that the AI role may update', async () => {
  await using original = await originalDatabase();
  await expect(run(original.adminUrl, AI_COLUMN_GRANT)).rejects.toEqual(UNDEFINED_COLUMN);

  await using ours = await ourDatabase();
  const granted = await run(
    ours.adminUrl,
    "select has_column_privilege('ai_agent_role', 'documents', 'ai_summary', 'update') and has_column_privilege('ai_agent_role', 'documents', 'ai_metadata', 'update') as both",
  );
  expect(granted).toEqual([{ both: true }]);
});
