/** An API with a provider that says yes to everything, and the steps of a sign-in that attacks are made from. */
import type { OidcProvider } from '@novax/adapters/oidc-settings';
import type { Client } from 'pg';
import { expect } from 'vitest';
import { startTestApi, type TestApi } from './api.ts';
import { type Answer, call } from './call.ts';
import { connect } from './database.ts';
import { type OidcStub, startOidcStub } from './oidc-stub.ts';

export interface Flow {
  readonly authorizationUrl: string;
  readonly flow: string;
}

export interface OidcWorld extends AsyncDisposable {
  readonly api: TestApi;
  readonly admin: Client;
  readonly stub: OidcStub;
  start(provider: string): Promise<Answer>;
  /** A sign-in that was begun. */
  begin(provider: string): Promise<Flow>;
  /** One that waits only for its callback: the stub will vouch for a new person. */
  ready(realm?: string): Promise<Flow & { readonly callback: URL }>;
  finish(flow: string, callbackUrl: string | URL): Promise<Answer>;
  sessions(): Promise<number>;
  /** Runs an attack: it is answered with the code, tells nothing of what found it out, and no session comes of it. */
  refusedBy(attack: () => Promise<Answer>, code?: string): Promise<void>;
}

/** Starts an API that knows these realms of a stub, and other providers. */
export async function startOidcWorld(
  realms: readonly string[],
  others: readonly OidcProvider[] = [],
): Promise<OidcWorld> {
  await using stack = new AsyncDisposableStack();
  const stub = stack.use(await startOidcStub());
  const api = stack.use(
    await startTestApi({
      env: {
        OIDC_PROVIDERS: [...others, ...realms.map((id) => stub.realm(id))],
        OUTBOUND_ALLOW: [stub.origin, ...others.map(({ issuer }) => issuer)],
      },
    }),
  );
  const admin = stack.use(await connect(api.database.adminUrl));

  const start = (provider: string): Promise<Answer> => call(api.url, 'auth.oauthStart', { input: { provider } });
  async function begin(provider: string): Promise<Flow> {
    const answer = await start(provider);
    expect(answer.status, answer.text).toBe(200);
    // The contract's own output, checked by the API before it was sent.
    return answer.data as Flow;
  }
  async function sessions(): Promise<number> {
    const { rows } = await admin.query<{ count: string }>('select count(*) from sessions');
    return Number(rows[0]?.count);
  }

  const owned = stack.move();
  return {
    api,
    admin,
    stub,
    start,
    begin,
    sessions,
    async ready(realm = 'honest') {
      const begun = await begin(realm);
      stub.answer(await stub.sign(stub.claims(begun.authorizationUrl)));
      return { ...begun, callback: stub.callback(begun.authorizationUrl) };
    },
    finish: (flow, callbackUrl) =>
      call(api.url, 'auth.oauthCallback', { input: { flow, callbackUrl: String(callbackUrl) } }),
    async refusedBy(attack, code = 'UNAUTHENTICATED') {
      const before = await sessions();
      const answer = await attack();
      expect(answer.code, answer.text).toBe(code);
      expect(answer.text).not.toMatch(/accessToken|oauth4webapi|openid-client|JWT|nonce/);
      expect(await sessions()).toBe(before);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
