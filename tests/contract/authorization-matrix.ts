/** Who gets which answer from every procedure: declared here, cell by cell, and met by the running API (`authorization.test.ts`). */
import type { contract } from '@novax/contracts/api/contract';
import type { ErrorCode } from '@novax/contracts/errors';
import type { Role } from '@novax/contracts/permissions';
import type { ActorKind } from '../kit/cells.ts';

export type Outcome = 'OK' | ErrorCode;
export type Cells = Readonly<Record<ActorKind, Outcome>>;

type Contract = typeof contract;
/** Total over the contract: a procedure without a line here does not compile. */
export type Matrix = { readonly [F in keyof Contract]: { readonly [V in keyof Contract[F]]: Cells } };

/** A row that asks for no credentials: the same for everybody, whatever they send. */
function open(outcome: Outcome): Cells {
  return {
    anonymous: outcome,
    otherTenant: outcome,
    viewer: outcome,
    member: outcome,
    admin: outcome,
    owner: outcome,
    ownerOfSuspended: outcome,
    suspended: outcome,
    removed: outcome,
    expiredSession: outcome,
    expiredToken: outcome,
    keyWithoutScope: outcome,
    keyWithScope: outcome,
    ai: outcome,
  };
}

/** Callers whose credentials are none, or are over: they get as far as that with any row that asks for them. */
const unknown = {
  anonymous: 'UNAUTHENTICATED',
  suspended: 'UNAUTHENTICATED',
  expiredSession: 'UNAUTHENTICATED',
  expiredToken: 'UNAUTHENTICATED',
  ai: 'UNAUTHENTICATED',
} as const;

/** A row about oneself: any signed-in person, no program. */
function own(outcome: Outcome, others: Partial<Cells> = {}): Cells {
  return {
    ...unknown,
    otherTenant: outcome,
    viewer: outcome,
    member: outcome,
    admin: outcome,
    owner: outcome,
    ownerOfSuspended: outcome,
    removed: outcome,
    keyWithoutScope: 'FORBIDDEN',
    keyWithScope: 'FORBIDDEN',
    ...others,
  };
}

/** A row in an organization: each role by itself; whoever is no member hears that there is nothing. */
function tenant(
  roles: Readonly<Record<Role | 'ownerOfSuspended', Outcome>>,
  others: { readonly keyWithScope?: Outcome } = {},
): Cells {
  return {
    ...unknown,
    otherTenant: 'NOT_FOUND',
    removed: 'NOT_FOUND',
    keyWithoutScope: 'FORBIDDEN',
    keyWithScope: 'OK',
    ...roles,
    ...others,
  };
}

/** Readable by every member, also while the organization is suspended. */
const readers = tenant({ viewer: 'OK', member: 'OK', admin: 'OK', owner: 'OK', ownerOfSuspended: 'OK' });
const adminsRead = tenant({
  viewer: 'FORBIDDEN',
  member: 'FORBIDDEN',
  admin: 'OK',
  owner: 'OK',
  ownerOfSuspended: 'OK',
});
const writers = tenant({
  viewer: 'FORBIDDEN',
  member: 'OK',
  admin: 'OK',
  owner: 'OK',
  ownerOfSuspended: 'FORBIDDEN',
});
const admins = tenant({
  viewer: 'FORBIDDEN',
  member: 'FORBIDDEN',
  admin: 'OK',
  owner: 'OK',
  ownerOfSuspended: 'FORBIDDEN',
});
/** About a thing that the policies hide from everybody below admins. */
const hidden = tenant({
  viewer: 'NOT_FOUND',
  member: 'NOT_FOUND',
  admin: 'OK',
  owner: 'OK',
  ownerOfSuspended: 'FORBIDDEN',
});
const owners = tenant({
  viewer: 'FORBIDDEN',
  member: 'FORBIDDEN',
  admin: 'FORBIDDEN',
  owner: 'OK',
  ownerOfSuspended: 'FORBIDDEN',
});

export const matrix: Matrix = {
  auth: {
    register: open('OK'),
    login: open('OK'),
    refresh: open('OK'),
    logout: own('OK'),
    // Tokens and providers that nobody knows: as far as anybody gets with those.
    verifyEmail: open('VALIDATION_FAILED'),
    requestEmailVerification: own('OK'),
    changePassword: own('OK'),
    requestPasswordReset: open('OK'),
    resetPassword: open('VALIDATION_FAILED'),
    listSessions: own('OK'),
    revokeSession: own('OK'),
    oauthProviders: open('OK'),
    oauthStart: open('NOT_FOUND'),
    oauthLink: own('NOT_FOUND'),
    oauthCallback: open('UNAUTHENTICATED'),
    listAccounts: own('OK'),
    unlinkAccount: own('OK'),
    enrolTotp: own('OK'),
    confirmTotp: own('NOT_FOUND'),
    disableTotp: own('NOT_FOUND'),
  },
  users: {
    me: own('OK'),
    updateProfile: own('OK'),
    exportData: own('OK'),
    // An owner hands over first; the one of another tenant is alone there.
    erase: own('OK', { owner: 'CONFLICT', ownerOfSuspended: 'CONFLICT' }),
  },
  organizations: {
    create: own('OK'),
    get: readers,
    list: own('OK'),
    update: admins,
    transferOwnership: owners,
    delete: owners,
  },
  members: {
    list: readers,
    invite: admins,
    listInvitations: adminsRead,
    revokeInvitation: hidden,
    // Everybody holds an invitation of their own; a suspended organization lets nobody in.
    acceptInvitation: own('OK', { ownerOfSuspended: 'NOT_FOUND' }),
    updateRole: admins,
    remove: admins,
    leave: tenant(
      { viewer: 'OK', member: 'OK', admin: 'OK', owner: 'CONFLICT', ownerOfSuspended: 'CONFLICT' },
      // A key acts as its maker, here the owner.
      { keyWithScope: 'CONFLICT' },
    ),
  },
  projects: {
    create: writers,
    get: readers,
    list: readers,
    update: writers,
    archive: writers,
    delete: admins,
  },
  documents: {
    create: writers,
    get: readers,
    list: readers,
    update: writers,
    archive: writers,
    delete: writers,
  },
  search: { query: readers },
  apiKeys: {
    // A key passes on no scope that it has not itself.
    create: { ...admins, keyWithScope: 'FORBIDDEN' },
    list: adminsRead,
    revoke: hidden,
  },
  audit: { list: adminsRead, export: adminsRead, verify: adminsRead },
};
