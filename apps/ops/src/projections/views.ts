/** The AI's materialized views, against their own queries. */
import { aiViews, type AiView, type ViewOutcome } from '@novax/db/queries/upkeep';
import { pause } from '@novax/runtime/clock';
import { rowOf } from '../database/connect.ts';
import type { Projection } from './projection.ts';
import { asDiffering, type FoundRow, pagesOf } from './rows.ts';

/** One projection for each view. */
export const views: readonly Projection[] = aiViews.map(viewProjection);

function viewProjection(view: AiView): Projection {
  return {
    name: view,
    about: 'a materialized view, of what its query answers now',
    mends: 'at once',
    absent: () => null,
    async *differences({ client, organizationId }) {
      const sql = 'select kind, org_id, id from private.view_difference($1, $2) order by org_id, id';
      for await (const page of pagesOf<FoundRow>(client, sql, [view, organizationId])) yield page.map(asDiffering);
    },
    /** A refresh is of every organization: it is one statement. */
    async rebuild({ client, signal }) {
      for (;;) {
        signal.throwIfAborted();
        const { outcome } = await rowOf<{ outcome: ViewOutcome }>(
          client,
          'select private.refresh_view($1, true) as outcome',
          [view],
        );
        // One that is under way may have begun before what is missing here.
        if (outcome !== 'busy') return;
        await pause(500, signal);
      }
    },
  };
}
