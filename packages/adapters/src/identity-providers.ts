/** OpenID Connect providers by discovery: code flow with PKCE, state and nonce; every answer is checked before anybody is believed (RFC 9700, 9207). */
import { emailSchema } from '@novax/contracts/api/auth';
import type { IdentityProviders, ProvidedIdentity } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  AuthorizationResponseError,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  customFetch,
  type CustomFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'openid-client';
import { z } from 'zod';
import type { OidcProvider } from './oidc-settings.ts';
import type { Outbound } from './outbound.ts';

/** How long a discovery document is believed, milliseconds; keys are fetched anew whenever a token names an unknown one. */
const discoveredMs = 60 * 60 * 1000;

/** Asks nobody before the first sign-in; `fetch` is the only way it reaches providers. */
export function createIdentityProviders(
  providers: readonly OidcProvider[],
  fetch: Outbound['fetch'],
): IdentityProviders {
  const byId = new Map(providers.map((provider) => [provider.id, provider]));
  const discovered = new Map<string, { readonly config: Promise<Configuration>; readonly until: number }>();

  function configOf(provider: OidcProvider): Promise<Configuration> {
    const known = discovered.get(provider.id);
    if (known !== undefined && known.until > Date.now()) return known.config;
    const config = discover(provider, fetch);
    const entry = { config, until: Date.now() + discoveredMs };
    discovered.set(provider.id, entry);
    config.catch(() => {
      // The next sign-in tries again.
      if (discovered.get(provider.id) === entry) discovered.delete(provider.id);
    });
    return config;
  }

  return {
    list: providers.map(({ id, name }) => ({ id, name })),
    async authorizationUrl(id, { state, nonce, verifier }) {
      const provider = byId.get(id);
      if (provider === undefined) throw new AppError('NOT_FOUND', { detail: `no identity provider "${id}"` });
      const url = buildAuthorizationUrl(await configOf(provider), {
        redirect_uri: provider.redirectUri,
        scope: provider.scopes.join(' '),
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      });
      return url.href;
    },
    async identify(id, callbackUrl, { state, nonce, verifier }) {
      const provider = byId.get(id);
      if (provider === undefined) throw unconfirmed(`no identity provider "${id}" any more`);
      const answer = answerAt(provider, callbackUrl);
      const config = await configOf(provider);
      try {
        const tokens = await authorizationCodeGrant(config, answer, {
          pkceCodeVerifier: verifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        });
        const claims = claimsSchema.parse(tokens.claims());
        if (saysAll(claims) || config.serverMetadata().userinfo_endpoint === undefined) return identityOf(claims);
        // Address and proof of it come from one place, or one could stand for the other's.
        const info = claimsSchema.parse(await fetchUserInfo(config, tokens.access_token, claims.sub));
        return identityOf(info);
      } catch (thrown) {
        throw failure(thrown, id);
      }
    },
  };
}

async function discover(provider: OidcProvider, fetch: Outbound['fetch']): Promise<Configuration> {
  const issuer = new URL(provider.issuer);
  const insecure = issuer.protocol === 'http:';
  const ask: CustomFetch = (url, { body, ...rest }) =>
    fetch(url, body === undefined || body === null ? rest : { ...rest, body });
  try {
    const found = await discovery(issuer, provider.clientId, undefined, undefined, {
      [customFetch]: ask,
      ...(insecure ? { execute: [allowInsecureRequests] } : {}),
    });
    const server = found.serverMetadata();
    // The library makes exceptions for issuers of many tenants, whose subjects may be alike.
    if (server.issuer !== provider.issuer) throw new Error(`its issuer is ${server.issuer}`);
    const page = URL.parse(server.authorization_endpoint ?? '');
    if (page?.protocol !== 'https:' && page?.protocol !== issuer.protocol)
      throw new Error('its sign-in page is not reached by https');
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const { clientId, clientSecret } = provider;
    const authentication = methods.includes('client_secret_post')
      ? ClientSecretPost(clientSecret)
      : ClientSecretBasic(clientSecret);
    const config = new Configuration(server, clientId, undefined, authentication);
    config[customFetch] = ask;
    if (insecure) allowInsecureRequests(config);
    // The signature is checked although the token comes straight from the provider: nothing is believed for its way alone.
    enableNonRepudiationChecks(config);
    return config;
  } catch (thrown) {
    const inner = appErrorIn(thrown);
    throw new AppError(inner?.code === 'TIMEOUT' ? 'TIMEOUT' : 'DEPENDENCY_UNAVAILABLE', {
      cause: thrown,
      detail: `discovery of ${provider.id}: ${inner?.message ?? (thrown instanceof Error ? thrown.message : 'failed')}`,
    });
  }
}

/** The provider's answer: at the redirect URI letter by letter, and with no parameter twice. Throws UNAUTHENTICATED. */
function answerAt({ redirectUri }: OidcProvider, callbackUrl: string): URL {
  // What no browser shows as its address would be mended silently by the parser.
  const plain = /^[\x21-\x7e]+$/.test(callbackUrl) && !callbackUrl.includes('#');
  if (!plain || !callbackUrl.startsWith(`${redirectUri}?`))
    throw unconfirmed('the callback is not at the redirect URI');
  const answer = new URL(callbackUrl);
  if (new Set(answer.searchParams.keys()).size !== answer.searchParams.size)
    throw unconfirmed('a parameter stands twice');
  return answer;
}

const claimsSchema = z.looseObject({
  sub: z.string().min(1).max(255),
  email: emailSchema.optional().catch(undefined),
  // Some providers write it as text.
  email_verified: z
    .union([z.boolean(), z.literal('true').transform(() => true)])
    .optional()
    .catch(false),
  preferred_username: z.string().max(200).optional().catch(undefined),
});
type Claims = z.output<typeof claimsSchema>;

function saysAll({ email, email_verified }: Claims): boolean {
  return email !== undefined && email_verified !== undefined;
}

function identityOf(claims: Claims): ProvidedIdentity {
  return {
    subject: claims.sub,
    email: claims.email ?? null,
    emailVerified: claims.email_verified === true,
    preferredUsername: claims.preferred_username ?? null,
  };
}

/** What the library threw, as a caller should read it: a provider out of reach, or one that does not confirm the sign-in. */
function failure(thrown: unknown, provider: string): AppError {
  const inner = appErrorIn(thrown);
  const detail = `${provider}: ${inner?.message ?? (thrown instanceof Error ? thrown.message : String(thrown))}`;
  if (inner?.code === 'UNAUTHENTICATED') return inner;
  if (inner !== undefined)
    return new AppError(inner.code === 'TIMEOUT' ? 'TIMEOUT' : 'DEPENDENCY_UNAVAILABLE', { cause: thrown, detail });
  if (thrown instanceof ResponseBodyError && thrown.error !== 'invalid_grant')
    return new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown, detail: `${detail}: ${thrown.error}` });
  if (thrown instanceof ClientError && thrown.code === 'OAUTH_RESPONSE_IS_NOT_CONFORM')
    return new AppError('DEPENDENCY_UNAVAILABLE', { cause: thrown, detail });
  const refusals = [
    ClientError,
    AuthorizationResponseError,
    ResponseBodyError,
    WWWAuthenticateChallengeError,
    z.ZodError,
  ];
  if (refusals.some((kind) => thrown instanceof kind)) return unconfirmed(detail, thrown);
  return new AppError('INTERNAL', { cause: thrown, detail });
}

function appErrorIn(thrown: unknown): AppError | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++)
    if (error instanceof AppError) return error;
  return undefined;
}

function unconfirmed(detail: string, cause?: unknown): AppError {
  return new AppError('UNAUTHENTICATED', {
    detail,
    ...(cause === undefined ? {} : { cause }),
    text: 'The identity provider did not confirm this sign-in; begin again.',
  });
}
