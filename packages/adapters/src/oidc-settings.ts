/** How an operator names the identity providers that people can sign in with. */
import { z } from 'zod';

const webUrl = z.url({ protocol: /^https?$/ });
/** Compared with what providers send back letter by letter, so it may not have a part that they add to. */
const bareUrl = webUrl.refine((text) => !/[?#]/.test(text), 'must have no query and no fragment');

const providerSchema = z.strictObject({
  /** Stored with every account that is linked: never changed once used. */
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be 1–40 lower-case letters, digits and dashes'),
  /** Shown to people. */
  name: z.string().min(1).max(100),
  /** Exactly as in the provider's discovery document. One with http must also be allowed by OUTBOUND_ALLOW. */
  issuer: bareUrl,
  clientId: z.string().min(1),
  clientSecret: z.string().min(1),
  /** The page of the product's front end that the provider sends people back to; as registered there. */
  redirectUri: bareUrl,
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/))
    .default(['openid', 'email', 'profile'])
    .refine((scopes) => scopes.includes('openid'), 'must hold openid'),
});

export type OidcProvider = z.output<typeof providerSchema>;

/** `OIDC_PROVIDERS`: a JSON list of `{ id, name, issuer, clientId, clientSecret, redirectUri, scopes? }`; none when absent. */
export const oidcProvidersSchema = z
  .string()
  .default('[]')
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('must be a JSON list of providers');
      return z.NEVER;
    }
  })
  .pipe(z.array(providerSchema))
  .refine((list) => new Set(list.map(({ id }) => id)).size === list.length, 'two providers have one id');
