/** Sign-up, sign-in and the life of an account's credentials. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { pageInput, pageOf } from '../page.ts';
import { mutation, query } from '../procedure.ts';

export const emailSchema = z.email().max(254).describe('Compared without regard to case.');
export const usernameSchema = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,38}[A-Za-z0-9])?$/, 'Use 1–40 letters, digits, dots, dashes or underscores.');
/** 12–128 characters, any of them (ASVS 5.0 6.2.1, 6.2.9); common ones are refused. */
export const passwordSchema = z.string().min(12).max(128);
/** A password that was chosen before: only its length is looked at. */
const givenPassword = z.string().min(1).max(128);
/** A one-time secret that came by mail. */
const mailedToken = z.string().min(20).max(200);

const tokens = {
  accessToken: z.string().describe('A JWT, sent as `Authorization: Bearer …`.'),
  refreshToken: z.string().describe('Used once: `auth.refresh` answers with the next one.'),
  expiresAt: instantSchema.describe('When the access token ends.'),
};
const signedIn = z.object({ user: z.object({ id: idSchema, email: z.string(), username: z.string() }), ...tokens });
export const ok = z.object({ ok: z.literal(true) });

const publicCall = { scope: 'public', tx: 'none', limit: 'signIn' } as const;
const ownCall = { scope: 'user', tx: 'none', limit: 'write' } as const;
/** Guards a password or a code: as strictly limited as signing in. */
const guarded = { ...ownCall, limit: 'signIn', latency: 'hash' } as const;

export const auth = {
  register: mutation({
    summary: 'Creates a user, signs them in and mails them a link to confirm their address.',
    input: z.object({ email: emailSchema, username: usernameSchema, password: passwordSchema }),
    output: signedIn,
    ...publicCall,
    latency: 'hash',
    errors: ['ALREADY_EXISTS'],
    rest: 'POST /auth/register',
    status: 201,
  }),
  login: mutation({
    summary: 'Signs in with e-mail and password; answers alike for unknown people and wrong passwords.',
    input: z.object({
      email: emailSchema,
      password: givenPassword,
      code: z
        .string()
        .min(6)
        .max(40)
        .optional()
        .describe('Optional: only accounts with a second factor need it; a recovery code serves as well.'),
    }),
    output: signedIn,
    ...publicCall,
    latency: 'hash',
    errors: ['SECOND_FACTOR_REQUIRED'],
    rest: 'POST /auth/login',
  }),
  refresh: mutation({
    summary: 'Exchanges a refresh token for the next pair; a token used twice ends its whole session.',
    input: z.object({ refreshToken: z.string().min(1).max(200) }),
    output: z.object(tokens),
    ...publicCall,
    // A secret of 256 bits needs no limit against guessing, and an office behind one address renews often.
    limit: 'write',
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/refresh',
  }),
  logout: mutation({
    summary: 'Ends the session of the access token that makes the call.',
    input: z.object({}),
    output: ok,
    ...ownCall,
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/logout',
  }),
  verifyEmail: mutation({
    summary: 'Confirms an e-mail address with the token that was mailed to it.',
    input: z.object({ token: mailedToken }),
    output: ok,
    ...publicCall,
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/verify-email',
  }),
  requestEmailVerification: mutation({
    summary: "Mails a new link to confirm the caller's address.",
    input: z.object({}),
    output: ok,
    ...ownCall,
    limit: 'signIn',
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/request-email-verification',
  }),
  changePassword: mutation({
    summary: "Changes the caller's password and ends all their other sessions.",
    input: z.object({ currentPassword: givenPassword, newPassword: passwordSchema }),
    output: z.object({ ok: z.literal(true), endedSessions: z.int() }),
    ...guarded,
    errors: [],
    rest: 'POST /auth/change-password',
  }),
  requestPasswordReset: mutation({
    summary: 'Mails a link to choose a new password; answers alike whether there is such an account or not.',
    input: z.object({ email: emailSchema }),
    output: ok,
    ...publicCall,
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/request-password-reset',
  }),
  resetPassword: mutation({
    summary: 'Sets a new password with a mailed token and ends every session of the account.',
    input: z.object({ token: mailedToken, newPassword: passwordSchema }),
    output: ok,
    ...publicCall,
    latency: 'hash',
    errors: [],
    rest: 'POST /auth/reset-password',
  }),
  listSessions: query({
    summary: "The caller's live sessions, newest first.",
    input: z.object(pageInput),
    output: pageOf(
      z.object({
        id: idSchema,
        current: z.boolean().describe('True for the session that makes the call.'),
        ipAddress: z.string().nullable(),
        userAgent: z.string().nullable(),
        createdAt: instantSchema,
        lastSeenAt: instantSchema,
        expiresAt: instantSchema,
      }),
    ),
    ...ownCall,
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /auth/sessions',
  }),
  revokeSession: mutation({
    summary: "Ends one of the caller's sessions; every node refuses it within a second.",
    input: z.object({ id: idSchema }),
    output: ok,
    ...ownCall,
    latency: 'fast',
    errors: ['NOT_FOUND'],
    rest: 'DELETE /auth/sessions/:id',
  }),
  oauthProviders: query({
    summary: 'The identity providers one can sign in with.',
    input: z.object({}),
    output: z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) }),
    ...publicCall,
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /auth/oauth-providers',
  }),
  oauthStart: mutation({
    summary: 'Begins a sign-in with an identity provider: send the person to `authorizationUrl` and keep `flow`.',
    input: z.object({ provider: z.string().min(1).max(40) }),
    output: z.object({
      authorizationUrl: z.string(),
      flow: z.string().describe('Secret of this sign-in: keep it in the browser that began it.'),
      expiresAt: instantSchema,
    }),
    ...publicCall,
    latency: 'search',
    errors: ['NOT_FOUND'],
    rest: 'POST /auth/oauth-start',
  }),
  oauthLink: mutation({
    summary: 'Like `auth.oauthStart`, for a signed-in person who wants to add the provider to their account.',
    input: z.object({ provider: z.string().min(1).max(40) }),
    output: z.object({ authorizationUrl: z.string(), flow: z.string(), expiresAt: instantSchema }),
    ...ownCall,
    latency: 'search',
    errors: ['NOT_FOUND'],
    rest: 'POST /auth/oauth-link',
  }),
  oauthCallback: mutation({
    summary: 'Ends a sign-in with an identity provider: trades what the provider sent back for a session.',
    input: z.object({
      flow: z.string().min(20).max(200),
      callbackUrl: z.string().min(1).max(4_000).describe('The whole URL that the provider sent the browser to.'),
    }),
    output: signedIn,
    ...publicCall,
    latency: 'search',
    errors: ['CONFLICT', 'FORBIDDEN'],
    rest: 'POST /auth/oauth-callback',
  }),
  listAccounts: query({
    summary: 'The identity providers linked to the caller.',
    input: z.object({}),
    output: z.object({
      items: z.array(
        z.object({
          id: idSchema,
          provider: z.string(),
          email: z.string().nullable(),
          createdAt: instantSchema,
          lastUsedAt: instantSchema.nullable(),
        }),
      ),
    }),
    scope: 'user',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /auth/accounts',
  }),
  unlinkAccount: mutation({
    summary: 'Takes an identity provider off the account, unless it is the only way in.',
    input: z.object({ id: idSchema }),
    output: ok,
    ...ownCall,
    latency: 'fast',
    errors: ['NOT_FOUND', 'CONFLICT'],
    rest: 'DELETE /auth/accounts/:id',
  }),
  enrolTotp: mutation({
    summary: 'Makes the secret of a time-based one-time password; it guards the account once confirmed.',
    input: z.object({}),
    output: z.object({
      secret: z.string().describe('Base32, for typing.'),
      uri: z.string().describe('`otpauth://…`, for a QR code.'),
    }),
    ...ownCall,
    latency: 'fast',
    errors: ['CONFLICT'],
    rest: 'POST /auth/totp',
  }),
  confirmTotp: mutation({
    summary: 'Turns the second factor on and answers with recovery codes, which are shown this once.',
    input: z.object({ code: z.string().regex(/^\d{6}$/, 'Six digits.') }),
    output: z.object({ recoveryCodes: z.array(z.string()) }),
    ...guarded,
    errors: ['NOT_FOUND'],
    rest: 'POST /auth/totp/confirm',
  }),
  disableTotp: mutation({
    summary: 'Turns the second factor off; takes a current code or a recovery code.',
    input: z.object({ code: z.string().min(6).max(40) }),
    output: ok,
    ...guarded,
    errors: ['NOT_FOUND'],
    rest: 'POST /auth/totp/disable',
  }),
};
