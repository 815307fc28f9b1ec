/** The signed-in person. */
import { z } from 'zod';
import { idSchema, instantSchema } from '../ids.ts';
import { profileBytesMax } from '../limits.ts';
import { roles } from '../permissions.ts';
import { mutation, query } from '../procedure.ts';
import { ok, usernameSchema } from './auth.ts';

const profileSchema = z.record(z.string().max(60), z.json());
const givenProfile = profileSchema.refine(
  (profile) => new TextEncoder().encode(JSON.stringify(profile)).length <= profileBytesMax,
  `A profile takes at most ${profileBytesMax} bytes of JSON.`,
);

const self = z.object({
  id: idSchema,
  email: z.string(),
  emailVerified: z.boolean(),
  username: z.string(),
  status: z.enum(['active', 'suspended', 'deleted']),
  profileMetadata: profileSchema,
  secondFactor: z.boolean().describe('True when signing in takes a code.'),
  createdAt: instantSchema,
  organizations: z.array(z.object({ id: idSchema, name: z.string(), slug: z.string(), role: z.enum(roles) })),
});

export const users = {
  me: query({
    summary: 'Who the caller is, and the organizations they belong to.',
    input: z.object({}),
    output: self,
    scope: 'user',
    tx: 'read',
    limit: 'read',
    latency: 'fast',
    errors: [],
    rest: 'GET /users/me',
  }),
  updateProfile: mutation({
    summary: "Changes the caller's user name or profile.",
    input: z.object({
      username: usernameSchema.optional().describe('Optional: absent leaves it as it is.'),
      profileMetadata: givenProfile.optional().describe('Optional: absent leaves it as it is.'),
    }),
    output: z.object({ id: idSchema, username: z.string(), profileMetadata: profileSchema }),
    scope: 'user',
    tx: 'none',
    limit: 'write',
    latency: 'fast',
    errors: ['ALREADY_EXISTS'],
    rest: 'PATCH /users/me',
  }),
  exportData: mutation({
    summary: 'One archive of everything the platform holds about the caller.',
    input: z.object({}),
    output: z.object({
      generatedAt: instantSchema,
      format: z.literal('novax-person-1'),
      person: z.record(z.string(), z.json()),
      sections: z.record(z.string(), z.array(z.record(z.string(), z.json()))),
    }),
    scope: 'user',
    tx: 'none',
    // Writes its own line into the trail, and is heavy: limited like signing in.
    limit: 'signIn',
    latency: 'bulk',
    errors: [],
    rest: 'POST /users/me/export',
  }),
  erase: mutation({
    summary: 'Deletes the account and makes what is kept about the person unreadable, for good.',
    input: z.object({
      password: z
        .string()
        .min(1)
        .max(128)
        .optional()
        .describe('Optional: accounts without a password must have signed in within the last ten minutes instead.'),
      confirm: z.literal('erase me'),
    }),
    output: ok,
    scope: 'user',
    tx: 'none',
    limit: 'signIn',
    latency: 'hash',
    errors: ['CONFLICT', 'FORBIDDEN'],
    rest: 'POST /users/me/erase',
  }),
};
