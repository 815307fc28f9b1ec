/** The demonstration's own account, organization and project; made once per local stack and remembered beside its data. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createNovaxClient, type NovaxClient } from '@novax/client/client';
import { isNovaxError } from '@novax/client/errors';
import { z } from 'zod';
import { writeJsonAtomically } from '../stack/config.ts';

const rememberedSchema = z.object({
  email: z.string(),
  password: z.string(),
  organizationId: z.string().nullable(),
  projectId: z.string().nullable(),
});
type Remembered = z.output<typeof rememberedSchema>;

export interface DemoAccount {
  readonly client: NovaxClient;
  readonly email: string;
  readonly organizationId: string;
  readonly projectId: string;
  /** Where the password stands. */
  readonly file: string;
}

/** Signs in the remembered account, or makes one; finishes what an interrupted start left half made. */
export async function demoAccount(options: { readonly url: string; readonly dir: string }): Promise<DemoAccount> {
  const file = join(options.dir, 'demo.json');
  const client = createNovaxClient({ url: options.url });
  let remembered = await recall(file);
  if (remembered !== null && !(await signedIn(client, remembered))) remembered = null;
  remembered ??= await register(client, file);

  if (remembered.organizationId === null) {
    const organizations = await client.organizations.list.query({});
    const suffix = randomBytes(3).toString('hex');
    const organization =
      organizations.items[0] ??
      (await client.organizations.create.mutate({ name: 'Demonstration', slug: `demo-${suffix}` }));
    remembered = { ...remembered, organizationId: organization.id };
    await remember(file, remembered);
  }
  const { organizationId } = remembered;
  if (organizationId === null) throw new Error('the demonstration has no organization');
  if (remembered.projectId === null) {
    const projects = await client.projects.list.query({ organizationId });
    const project =
      projects.items[0] ??
      (await client.projects.create.mutate({
        organizationId,
        name: 'Package READMEs',
        description: 'What the installed packages say of themselves.',
      }));
    remembered = { ...remembered, projectId: project.id };
    await remember(file, remembered);
  }
  const { email, projectId } = remembered;
  if (projectId === null) throw new Error('the demonstration has no project');
  return { client, email, organizationId, projectId, file };
}

async function signedIn(client: NovaxClient, account: Remembered): Promise<boolean> {
  try {
    await client.session.login({ email: account.email, password: account.password });
    return true;
  } catch (thrown) {
    // The data was reset under the file: begin anew.
    if (isNovaxError(thrown) && thrown.code === 'UNAUTHENTICATED') return false;
    throw thrown;
  }
}

async function register(client: NovaxClient, file: string): Promise<Remembered> {
  const suffix = randomBytes(3).toString('hex');
  const account: Remembered = {
    email: `demo-${suffix}@novax.local`,
    password: randomBytes(18).toString('base64url'),
    organizationId: null,
    projectId: null,
  };
  // Written first: an account whose password nobody knows would be left behind otherwise.
  await remember(file, account);
  await client.session.register({ email: account.email, username: `demo-${suffix}`, password: account.password });
  return account;
}

async function recall(file: string): Promise<Remembered | null> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    return rememberedSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function remember(file: string, account: Remembered): Promise<void> {
  await writeJsonAtomically(file, account, 0o600);
}
