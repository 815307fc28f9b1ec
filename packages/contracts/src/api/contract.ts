/** The whole API as data: every face, client type, gate and generated test reads this table. */
import type { Contract, RouterOf } from '../procedure.ts';
import { apiKeys } from './api-keys.ts';
import { audit } from './audit.ts';
import { auth } from './auth.ts';
import { documents } from './documents.ts';
import { members } from './members.ts';
import { organizations } from './organizations.ts';
import { projects } from './projects.ts';
import { search } from './search.ts';
import { users } from './users.ts';

export const contract = {
  auth,
  users,
  organizations,
  members,
  projects,
  documents,
  search,
  apiKeys,
  audit,
} as const satisfies Contract;

/** The type a tRPC client is made from. */
export type AppRouter = RouterOf<typeof contract>;
