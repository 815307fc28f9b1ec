/** Every handler, in the contract's shape. */
import type { Handlers } from '../context.ts';
import { authHandlers, userHandlers } from './people.ts';
import { memberHandlers, organizationHandlers } from './tenants.ts';
import { documentHandlers, projectHandlers, searchHandlers } from './work.ts';

export const handlers: Handlers = {
  auth: authHandlers,
  users: userHandlers,
  organizations: organizationHandlers,
  members: memberHandlers,
  projects: projectHandlers,
  documents: documentHandlers,
  search: searchHandlers,
};
