/** Every projection there is, in the order in which they are rebuilt: what others are derived from first. */
import { documentTexts } from './document-texts.ts';
import { embeddingCounts } from './embedding-counts.ts';
import { erasureList } from './erasure-list.ts';
import { memberships } from './memberships.ts';
import type { Projection } from './projection.ts';
import { searchIndex } from './search-index.ts';
import { summaries } from './summaries.ts';
import { vectors } from './vectors.ts';
import { views } from './views.ts';

export const projections: readonly Projection[] = [
  memberships,
  documentTexts,
  vectors,
  embeddingCounts,
  summaries,
  searchIndex,
  ...views,
  erasureList,
];
