/** Who may do what: role × action, the one table that the server's gate and the client's buttons read. */

/** A member's role, strongest first. */
export const roles = ['owner', 'admin', 'member', 'viewer'] as const;
export type Role = (typeof roles)[number];

const everyone = ['owner', 'admin', 'member', 'viewer'] as const;
const writers = ['owner', 'admin', 'member'] as const;
const admins = ['owner', 'admin'] as const;
const owners = ['owner'] as const;

export const permissions = {
  'organization:read': everyone,
  'organization:update': admins,
  'organization:delete': owners,
  'organization:transfer': owners,
  'organization:leave': everyone,
  'member:read': everyone,
  'member:manage': admins,
  'invitation:read': admins,
  'apiKey:read': admins,
  'apiKey:manage': admins,
  'audit:read': admins,
  'project:read': everyone,
  'project:write': writers,
  'project:delete': admins,
  'document:read': everyone,
  'document:write': writers,
  'document:delete': writers,
  'search:read': everyone,
} as const satisfies Record<string, readonly Role[]>;

/** Something a role may be allowed to do, `thing:verb`. */
export type Action = keyof typeof permissions;

/** Every action, in the order of the table; also the scopes an API key can be given. */
export const actions = Object.keys(permissions).filter((name): name is Action => Object.hasOwn(permissions, name));

/** True for what a suspended organization still allows its members: to read and to leave. */
export function allowedWhileSuspended(action: Action): boolean {
  return action === 'organization:leave' || action.endsWith(':read');
}

/** True when `role` may do `action`. */
export function roleMay(role: Role, action: Action): boolean {
  const allowed: readonly Role[] = permissions[action];
  return allowed.includes(role);
}
