/** What a projection is to an operator: something derived that can be held against its tables, and rebuilt from them. */
import type { BlobStore, JobQueue } from '@novax/domain/ports';
import type { Connection } from '../database/connect.ts';

/** `missing`: the tables say it should be there; `stale`: it is there and says something else; `extra`: nothing calls for it. */
export const differenceKinds = ['missing', 'stale', 'extra'] as const;
export type DifferenceKind = (typeof differenceKinds)[number];

/** One thing that is not as the tables say. */
export interface DifferingRow {
  readonly kind: DifferenceKind;
  /** Null when the row itself does not say, as a spoiled copy may not. */
  readonly organizationId: string | null;
  readonly id: string;
}

/** The embedding model that vectors are wanted of; `id` is null while no worker has registered it. */
export interface EmbeddingModel {
  readonly name: string;
  readonly id: number | null;
}

export interface ProjectionParts {
  /** As the worker's role, with no transaction open. */
  readonly client: Connection;
  /** Null for all of them. */
  readonly organizationId: string | null;
  readonly model: EmbeddingModel;
  /** Null where the settings name no search engine. */
  readonly searchEngine: { readonly url: string; readonly apiKey: string } | null;
  /** Null where the settings name no store for files. */
  readonly files: BlobStore | null;
  /** Connected when it is first asked for. Throws `CommandFailure` where the settings name none. */
  readonly queue: () => Promise<JobQueue>;
  readonly signal: AbortSignal;
}

export interface Projection {
  readonly name: string;
  /** What is compared with what, in one line. */
  readonly about: string;
  /** `at once`: gone when `rebuild` resolves; `by workers`: owed then, and jobs pay it. */
  readonly mends: 'at once' | 'by workers';
  /** Why there is nothing to compare here, or null. */
  readonly absent: (parts: ProjectionParts) => string | null;
  /** Every row that differs, page after page. Reads only. */
  readonly differences: (parts: ProjectionParts) => AsyncGenerator<readonly DifferingRow[]>;
  /**
   * Mends what differs and touches nothing else, by the code that keeps the projection in ordinary life. It tells nobody: no event, mail,
   * notification or entry of the trail comes of it. May stop and be repeated anywhere.
   */
  readonly rebuild: (parts: ProjectionParts) => Promise<void>;
}
