/** The jobs that derive a document's data anew and tell nobody. */
import type { DocumentJob } from '@novax/contracts/events/owed-jobs';
import { type JobRequest, owedJobId } from '@novax/contracts/jobs';
import type { ProjectionParts } from './projection.ts';

export interface OwedRebuild {
  readonly organizationId: string;
  readonly documentId: string;
  /** What exactly is owed, as the reconciler names it. */
  readonly fingerprint: string;
}

/**
 * Queues one job for each, under the id that the reconciler would give it: what is queued here it does not queue as ordinary work, of which people hear.
 * What is lost with the queue differs still, so the next rebuild finds it.
 */
export async function queueQuietly(
  { queue }: Pick<ProjectionParts, 'queue'>,
  name: DocumentJob,
  owed: readonly OwedRebuild[],
): Promise<void> {
  const requests = owed.map(({ organizationId, documentId, fingerprint }): JobRequest => ({
    name,
    id: owedJobId(name, documentId, fingerprint),
    payload: { organizationId, documentId, event: null, quiet: true },
  }));
  await (await queue()).add(requests);
}
