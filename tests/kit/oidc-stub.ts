/** An identity provider that says yes to everything and signs whatever a test wants: what only a check of ours can refuse. */
import { KeyObject, randomBytes } from 'node:crypto';
import type { OidcProvider } from '@novax/adapters/oidc-settings';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type StubAnswer, type StubRequest, stubServer } from '../conformance/stub-server.ts';
import { unique } from './actors.ts';
import { redirectUri } from './oidc-provider.ts';

export interface OidcStub extends AsyncDisposable {
  readonly origin: string;
  /** Settings of a realm; each has its own issuer and is discovered by itself. */
  realm(id: string): OidcProvider;
  /** What a realm's discovery document says otherwise, or an answer in its place. */
  readonly discovery: Map<string, Readonly<Record<string, unknown>> | (() => StubAnswer)>;
  /** Token requests so far. */
  readonly exchanges: readonly URLSearchParams[];
  /** Where an authorization URL leads the browser back to, with a code. */
  callback(authorizationUrl: string): URL;
  /** Claims that an honest provider would state for this authorization URL. */
  claims(authorizationUrl: string): Readonly<Record<string, unknown>>;
  /** Signed by its key, with RS256 as it announces, or otherwise. */
  sign(claims: Readonly<Record<string, unknown>>, alg?: string): Promise<string>;
  /** What the token endpoint answers from now on; an ID token alone is put into an ordinary answer. */
  answer(next: string | StubAnswer): void;
  readonly publicKey: Readonly<Record<string, unknown>>;
}

/** Starts it on loopback; `client` is one for all realms. A realm's discovery document is sent when `beforeDiscovery` resolves. */
export async function startOidcStub(
  options: { readonly beforeDiscovery?: (realm: string) => Promise<void> } = {},
): Promise<OidcStub> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  // One key object signs by any of the RSA algorithms.
  const key = KeyObject.from(privateKey);
  const jwk = { ...(await exportJWK(publicKey)), kid: 'stub-key', alg: 'RS256', use: 'sig' };
  const client = { clientId: unique('client'), clientSecret: randomBytes(24).toString('base64url') };
  const discovery: OidcStub['discovery'] = new Map();
  const exchanges: URLSearchParams[] = [];
  let token: string | StubAnswer = '';

  const server = await stubServer(async (request) => {
    const [, id = '', ...rest] = request.path.split('/');
    const path = rest.join('/');
    if (path === '.well-known/openid-configuration') {
      await options.beforeDiscovery?.(id);
      return discoveryOf(id);
    }
    if (path === 'jwks') return { body: { keys: [jwk] } };
    return path === 'token' ? exchange(request) : { status: 404 };
  });
  const issuerOf = (id: string): string => `${server.url}/${id}`;

  function discoveryOf(id: string): StubAnswer {
    const changes = discovery.get(id);
    if (typeof changes === 'function') return changes();
    const issuer = issuerOf(id);
    return {
      body: {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
        authorization_response_iss_parameter_supported: true,
        ...changes,
      },
    };
  }

  function exchange(request: StubRequest): StubAnswer {
    exchanges.push(new URLSearchParams(request.body.toString()));
    if (typeof token !== 'string') return token;
    return { body: { access_token: 'opaque', token_type: 'Bearer', expires_in: 60, id_token: token } };
  }

  return {
    origin: server.url,
    realm: (id) => ({
      id,
      name: id,
      issuer: issuerOf(id),
      ...client,
      redirectUri,
      scopes: ['openid', 'email', 'profile'],
    }),
    discovery,
    exchanges,
    callback(authorizationUrl) {
      const { searchParams, origin, pathname } = new URL(authorizationUrl);
      const back = new URL(searchParams.get('redirect_uri') ?? '');
      back.searchParams.set('code', unique('code'));
      back.searchParams.set('state', searchParams.get('state') ?? '');
      back.searchParams.set('iss', `${origin}${pathname.replace(/\/authorize$/, '')}`);
      return back;
    },
    claims(authorizationUrl) {
      const { searchParams, origin, pathname } = new URL(authorizationUrl);
      const now = Math.floor(Date.now() / 1000);
      const sub = unique('stub');
      return {
        iss: `${origin}${pathname.replace(/\/authorize$/, '')}`,
        aud: client.clientId,
        sub,
        nonce: searchParams.get('nonce') ?? '',
        iat: now,
        exp: now + 300,
        email: `${sub}@stub.test`,
        email_verified: true,
      };
    },
    sign: (claims, alg = 'RS256') => new SignJWT(claims).setProtectedHeader({ alg, kid: 'stub-key' }).sign(key),
    answer: (next) => {
      token = next;
    },
    publicKey: jwk,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
