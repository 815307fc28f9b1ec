/** Every handler, in the contract's shape. */
import type { Handlers } from '../context.ts';
import { accountHandlers } from './accounts.ts';
import { apiKeyHandlers } from './api-keys.ts';
import { auditHandlers } from './audit.ts';
import { factorHandlers } from './factors.ts';
import { membershipHandlers } from './members.ts';
import { oauthHandlers } from './oauth.ts';
import { entryHandlers, userHandlers } from './people.ts';
import { privacyHandlers } from './privacy.ts';
import { sessionHandlers } from './sessions.ts';
import { memberHandlers, organizationHandlers } from './tenants.ts';
import { documentHandlers, projectHandlers, searchHandlers } from './work.ts';

export const handlers: Handlers = {
  auth: { ...entryHandlers, ...sessionHandlers, ...accountHandlers, ...oauthHandlers, ...factorHandlers },
  users: { ...userHandlers, ...privacyHandlers },
  organizations: organizationHandlers,
  members: { ...memberHandlers, ...membershipHandlers },
  projects: projectHandlers,
  documents: documentHandlers,
  search: searchHandlers,
  apiKeys: apiKeyHandlers,
  audit: auditHandlers,
};
