/** Sign-in with identity providers: sending somebody there, taking them back once, and what follows. */
import { randomBytes } from 'node:crypto';
import { constraintOf } from '@novax/db/errors';
import { auditPerson, emitPerson } from '@novax/db/queries/auth';
import { accountBySubject, beginFlow as beginStatement, registerOauthUser, takeFlow } from '@novax/db/queries/oauth';
import type { Database } from '@novax/db/tx';
import { AppError } from '@novax/runtime/errors';
import { newId } from '@novax/runtime/ids';
import type { Keyring } from '@novax/runtime/keyring';
import type { FlowSecrets, IdentityProviders } from '../ports.ts';
import { inactive, linkAccount, subjectTaken, useAccount, type Arrival, type Linker } from './oauth-accounts.ts';
import { openSession, secretHash, type OpenedSession, type Origin, type Person } from './sessions.ts';
import { usernameFrom } from './username.ts';

/** A person has this long to come back from the provider. */
const flowMs = 10 * 60 * 1000;
/** Tries to find or make a person before giving up: each takes another name, or somebody else's arrival, into account. */
const triesMax = 5;

export interface OauthParts {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly identityProviders: IdentityProviders;
}

/** What is sealed between the two halves of a flow. */
type SealedSecrets = FlowSecrets & { readonly sidHash: string | null };

function randomText(): string {
  return randomBytes(32).toString('base64url');
}

/** Ties a sealed value to its row: moved to another, it does not open. */
function sealContext(flow: { id: string; provider: string; linkUserId: string | null }): string {
  return `oauth_flows:${flow.id}:${flow.provider}:${flow.linkUserId ?? ''}`;
}

/** Begins a sign-in, or with a linker the linking of a provider. Throws NOT_FOUND for an unknown provider; DEPENDENCY_UNAVAILABLE, TIMEOUT. */
export async function beginFlow(
  { db, keyring, identityProviders }: OauthParts,
  { provider, linker }: { readonly provider: string; readonly linker: Linker | null },
): Promise<{ authorizationUrl: string; flow: string; expiresAt: string }> {
  const secrets: SealedSecrets = {
    state: randomText(),
    nonce: randomText(),
    verifier: randomText(),
    sidHash: linker?.sidHash ?? null,
  };
  const authorizationUrl = await identityProviders.authorizationUrl(provider, secrets);
  const [id, flow, linkUserId] = [newId(), randomText(), linker?.userId ?? null];
  const sealed = keyring.seal(Buffer.from(JSON.stringify(secrets)), sealContext({ id, provider, linkUserId }));
  return db.person(linkUserId, async (tx) => {
    const expiresAt = new Date(tx.now.getTime() + flowMs);
    await tx.sql(beginStatement, [
      id,
      secretHash(flow),
      provider,
      sealed.ciphertext,
      sealed.keyId,
      linkUserId,
      expiresAt,
    ]);
    return { authorizationUrl, flow, expiresAt: expiresAt.toISOString() };
  });
}

/**
 * Ends a flow, whatever the outcome, and signs in whom the provider vouches for. Nobody is matched by address: an account of that address keeps out a new
 * subject (CONFLICT) until its owner has signed in and linked the provider, or whoever registered the address first would own what its owner does later.
 * A second factor of ours is not asked for: the provider decides how it knows its people, and whoever links one trusts it with that.
 * Throws UNAUTHENTICATED for a flow that is over, an answer that does not belong to it, or a person who is not active; FORBIDDEN for a new person without a
 * verified address; DEPENDENCY_UNAVAILABLE, TIMEOUT.
 */
export async function finishFlow(
  { db, keyring, identityProviders }: OauthParts,
  input: { readonly flow: string; readonly callbackUrl: string },
  origin: Origin,
): Promise<{ person: Person; session: OpenedSession }> {
  const [taken] = await db.person(null, (tx) => tx.sql(takeFlow, [secretHash(input.flow)]));
  if (taken === undefined)
    throw new AppError('UNAUTHENTICATED', { detail: 'no such flow', text: 'This sign-in is over; begin again.' });
  const { id, provider, link_user_id: linkUserId } = taken;
  const sealed = { ciphertext: taken.secrets_ciphertext, keyId: taken.key_id };
  // Sealed by beginFlow alone, which the seal proves.
  const secrets = JSON.parse(
    keyring.open(sealed, sealContext({ id, provider, linkUserId })).toString(),
  ) as SealedSecrets;
  const identity = await identityProviders.identify(provider, input.callbackUrl, secrets);
  if (linkUserId === null) return enter(db, { provider, identity }, origin);
  return linkAccount(
    db,
    { provider, identity, linker: { userId: linkUserId, sidHash: secrets.sidHash ?? '' } },
    origin,
  );
}

/** Signs in a known subject, or makes an account for a new one. The unique indexes decide between arrivals at once. */
async function enter(db: Database, arrival: Arrival, origin: Origin) {
  let [suffix, addressTaken] = ['', false];
  for (let tries = 1; ; tries++) {
    const [known] = await db.person(null, (tx) =>
      tx.sql(accountBySubject, [arrival.provider, arrival.identity.subject]),
    );
    if (known !== undefined) return signInKnown(db, { ...known, provider: arrival.provider }, origin);
    if (addressTaken)
      throw new AppError('CONFLICT', {
        detail: 'an account has the address already',
        text: 'There is an account with this e-mail address. Sign in to it with your password, then link the identity provider.',
      });
    try {
      return await signUp(db, { ...arrival, suffix }, origin);
    } catch (thrown) {
      const taken = constraintOf(thrown);
      if (taken === 'idx_users_username_normalized') suffix = randomBytes(3).toString('hex');
      else if (taken === 'idx_users_email_normalized') addressTaken = true;
      else if (taken !== subjectTaken) throw thrown;
      if (tries >= triesMax) throw thrown;
    }
  }
}

function signInKnown(
  db: Database,
  known: { account_id: string; user_id: string; email: string; username: string; status: string; provider: string },
  origin: Origin,
): Promise<{ person: Person; session: OpenedSession }> {
  const { account_id: accountId, user_id: userId, email, username, provider } = known;
  if (known.status !== 'active') throw inactive();
  return db.person(userId, async (tx) => {
    await useAccount(tx, { userId, accountId, provider }, origin);
    return { person: { id: userId, email, username }, session: await openSession(tx, userId, origin) };
  });
}

async function signUp(db: Database, arrival: Arrival & { readonly suffix: string }, origin: Origin) {
  const { provider, identity, suffix } = arrival;
  const { email, emailVerified, subject } = identity;
  if (email === null || !emailVerified)
    throw new AppError('FORBIDDEN', {
      detail: `${provider} vouches for no address`,
      text: 'The identity provider has not verified an e-mail address of yours; verify it there, or register with a password.',
    });
  const username = usernameFrom(identity.preferredUsername ?? email.split('@')[0] ?? '', suffix);
  const person: Person = { id: newId(), email, username };
  const [userId, accountId, { call }] = [person.id, newId(), origin];
  return db.person(userId, async (tx) => {
    await tx.sql(registerOauthUser, [
      userId,
      email,
      email.toLowerCase(),
      username,
      username.toLowerCase(),
      accountId,
      provider,
      subject,
    ]);
    const made = { userId, action: 'create', call } as const;
    await auditPerson(tx, { ...made, entityType: 'users', entityId: userId, after: { username, provider } });
    await auditPerson(tx, { ...made, entityType: 'oauth_accounts', entityId: accountId, after: { provider } });
    const session = await openSession(tx, userId, origin);
    await emitPerson(tx, { type: 'user.registered', userId, payload: { userId }, call });
    return { person, session };
  });
}
