/** The materialized views, brought up to date. */
import type { Client } from 'pg';

/** Refreshes both views of the AI at once, as the schedule does every few minutes. */
export async function refreshedViews(admin: Client): Promise<void> {
  for (const view of ['mv_ai_document_context', 'mv_ai_task_intelligence'])
    await admin.query(`refresh materialized view private.${view}`);
}
