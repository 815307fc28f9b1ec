/** The jobs that derive a document's data anew and tell nobody. */
import type { DocumentJob } from '@novax/contracts/events/owed-jobs';
import type { JobRequest } from '@novax/contracts/jobs';
import type { ProjectionParts } from './projection.ts';

export interface OwedRebuild {
  readonly organizationId: string;
  readonly documentId: string;
  /** What exactly is owed, so that asking twice queues once. */
  readonly fingerprint: string;
}

/** Queues one job for each. What is lost with the queue differs still, so the next rebuild finds it. */
export async function queueQuietly(
  { queue }: Pick<ProjectionParts, 'queue'>,
  name: DocumentJob,
  owed: readonly OwedRebuild[],
): Promise<void> {
  const requests = owed.map(({ organizationId, documentId, fingerprint }): JobRequest => ({
    name,
    id: `${name}-rebuild-${documentId}-${fingerprint}`,
    payload: { organizationId, documentId, event: null, quiet: true },
  }));
  await (await queue()).add(requests);
}
