/** Identity providers are settled before the API starts: complete, distinct, and with URLs that can be compared letter by letter. */
import { expect, test } from 'vitest';
import { oidcProvidersSchema } from './oidc-settings.ts';

const provider = {
  id: 'corp',
  name: 'Corp',
  issuer: 'https://idp.example.test',
  clientId: 'novax',
  clientSecret: 'secret',
  redirectUri: 'https://app.example.test/signed-in',
};
const parse = (value: unknown) => oidcProvidersSchema.safeParse(JSON.stringify(value));

test('no setting means no provider; scopes have a default', () => {
  expect(oidcProvidersSchema.parse(undefined)).toEqual([]);
  expect(parse([provider]).data).toEqual([{ ...provider, scopes: ['openid', 'email', 'profile'] }]);
  expect(parse([{ ...provider, scopes: ['openid'] }]).data?.[0]?.scopes).toEqual(['openid']);
});

test.each([
  ['a provider that is no list', provider],
  ['two providers of one id', [provider, { ...provider, issuer: 'https://other.example.test' }]],
  ['no secret', [{ ...provider, clientSecret: '' }]],
  ['a setting nobody knows', [{ ...provider, client_secret: 'x' }]],
  ['an id that is no name', [{ ...provider, id: 'Corp IdP' }]],
  ['an issuer that is no URL', [{ ...provider, issuer: 'idp.example.test' }]],
  ['an issuer of another scheme', [{ ...provider, issuer: 'ftp://idp.example.test' }]],
  ['an issuer with a query', [{ ...provider, issuer: 'https://idp.example.test?x' }]],
  ['a redirect URI with a query', [{ ...provider, redirectUri: 'https://app.example.test/?x=y' }]],
  ['a redirect URI with a fragment', [{ ...provider, redirectUri: 'https://app.example.test/#x' }]],
  ['scopes without openid', [{ ...provider, scopes: ['email'] }]],
  ['a scope that is two', [{ ...provider, scopes: ['openid', 'email profile'] }]],
])('%s is refused', (_, value) => {
  expect(parse(value).success).toBe(false);
});

test('text that is no JSON is refused without being repeated', () => {
  const refused = oidcProvidersSchema.safeParse('[{"clientSecret":"hunter2"');
  expect(refused.success).toBe(false);
  expect(refused.error?.message).not.toContain('hunter2');
});
