/** A certified OpenID Connect provider in the test's own process, and a person with a browser who signs in there. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { OidcProvider } from '@novax/adapters/oidc-settings';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { unique } from './actors.ts';

/** Where the product's front end would wait; nothing listens there. */
export const redirectUri = 'https://app.example.test/signed-in';

export interface ProviderPerson {
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly preferred_username?: string;
}

export interface TestOidcProvider extends AsyncDisposable {
  /** For `OIDC_PROVIDERS`; its issuer must stand in `OUTBOUND_ALLOW` too. */
  readonly settings: OidcProvider;
  /** By subject; whoever signs in must be here. */
  readonly people: Map<string, ProviderPerson>;
  /** Follows an authorization URL as a browser of its own, signs in as this subject (or denies), and answers the URL it is sent back to. */
  authorize(authorizationUrl: string, subject: string | null): Promise<string>;
}

/** Starts it on loopback, with PKCE required, its `iss` in every answer, and addresses told by its UserInfo endpoint alone. */
export async function startOidcProvider(id: string): Promise<TestOidcProvider> {
  const people = new Map<string, ProviderPerson>();
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the provider has no port');
  const issuer = `http://127.0.0.1:${address.port}`;
  const settings: OidcProvider = {
    id,
    name: `Provider ${id}`,
    issuer,
    clientId: unique('client'),
    clientSecret: randomBytes(24).toString('base64url'),
    redirectUri,
    scopes: ['openid', 'email', 'profile'],
  };
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const provider = new Provider(issuer, {
    clients: [{ client_id: settings.clientId, client_secret: settings.clientSecret, redirect_uris: [redirectUri] }],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: unique('key') }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    pkce: { required: () => true },
    claims: { email: ['email', 'email_verified'], profile: ['preferred_username'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, subject) => {
      const person = people.get(subject);
      return person && { accountId: subject, claims: () => ({ sub: subject, ...person }) };
    },
    // Whoever signs in has agreed already.
    async loadExistingGrant(context) {
      const { client, session } = context.oidc;
      if (client === undefined || session?.accountId === undefined) return undefined;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(settings.scopes.join(' '));
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith('/interaction/') !== true) return void answer(request, response);
    const subject = String(request.headers['x-subject'] ?? '');
    const result = subject === '' ? { error: 'access_denied' } : { login: { accountId: subject } };
    return void provider.interactionFinished(request, response, result);
  });

  return {
    settings,
    people,
    authorize: (authorizationUrl, subject) => browse(authorizationUrl, subject ?? ''),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function browse(start: string, subject: string): Promise<string> {
  const cookies = new Map<string, string>();
  let url = start;
  for (let steps = 0; steps < 10; steps++) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { 'x-subject': subject, 'cookie': [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`the provider answered ${response.status}: ${await response.text()}`);
    url = new URL(location, url).href;
    if (url.startsWith(redirectUri)) return url;
  }
  throw new Error('the provider sends people in circles');
}
