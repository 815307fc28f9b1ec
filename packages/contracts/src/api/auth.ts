/** Sign-up, sign-in and the life of a session. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { mutation } from '../procedure.ts';

export const emailSchema = z.email().max(254).describe('Compared without regard to case.');
export const usernameSchema = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,38}[A-Za-z0-9])?$/, 'Use 1–40 letters, digits, dots, dashes or underscores.');
/** 12–128 characters, any of them (ASVS 5.0 6.2.1, 6.2.9). */
export const passwordSchema = z.string().min(12).max(128);

const tokens = {
  accessToken: z.string().describe('A JWT, sent as `Authorization: Bearer …`.'),
  refreshToken: z.string().describe('Used once: `auth.refresh` answers with the next one.'),
  expiresAt: instantSchema.describe('When the access token ends.'),
};
const signedIn = z.object({ user: z.object({ id: idSchema, email: z.string(), username: z.string() }), ...tokens });

export const auth = {
  register: mutation({
    summary: 'Creates a user and signs them in.',
    input: z.object({ email: emailSchema, username: usernameSchema, password: passwordSchema }),
    output: signedIn,
    scope: 'public',
    tx: 'none',
    limit: 'signIn',
    latency: 'hash',
    errors: ['ALREADY_EXISTS'],
    rest: 'POST /auth/register',
    status: 201,
  }),
  login: mutation({
    summary: 'Signs in with e-mail and password; answers alike for unknown people and wrong passwords.',
    input: z.object({ email: emailSchema, password: z.string().min(1).max(128) }),
    output: signedIn,
    scope: 'public',
    tx: 'none',
    limit: 'signIn',
    latency: 'hash',
    errors: [],
    rest: 'POST /auth/login',
  }),
  refresh: mutation({
    summary: 'Exchanges a refresh token for the next pair; a token used twice ends its whole session.',
    input: z.object({ refreshToken: z.string().min(1).max(200) }),
    output: z.object(tokens),
    scope: 'public',
    tx: 'none',
    // A secret of 256 bits needs no limit against guessing, and an office behind one address renews often.
    limit: 'write',
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/refresh',
  }),
  logout: mutation({
    summary: 'Ends the session of the access token that makes the call.',
    input: z.object({}),
    output: z.object({ ok: z.literal(true) }),
    scope: 'user',
    tx: 'none',
    limit: 'write',
    latency: 'fast',
    errors: [],
    rest: 'POST /auth/logout',
  }),
};
