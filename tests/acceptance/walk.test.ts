/** A walk through the product over HTTP, with nothing of it imported but the contract. */
import { randomUUID } from 'node:crypto';
import { contract } from '@novax/contracts/api/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { eventually } from '../kit/eventually.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ workers: true });
});
afterAll(() => api[Symbol.asyncDispose]());

type Contract = typeof contract;
type Schema<F extends keyof Contract, V extends keyof Contract[F], S extends 'input' | 'output'> =
  Contract[F][V] extends Record<S, infer T extends z.ZodType> ? T : never;

let bearer: string | undefined;

/** One call as any program would make it; the answer is parsed by the contract. */
async function ask<F extends keyof Contract, V extends keyof Contract[F]>(
  feature: F,
  verb: V & string,
  input: z.input<Schema<F, V, 'input'>>,
): Promise<z.output<Schema<F, V, 'output'>>> {
  const features: Record<string, Record<string, { kind: string; output: z.ZodType }>> = contract;
  const row = features[feature]?.[verb];
  if (row === undefined) throw new Error(`no ${feature}.${verb}`);
  const path = `${api.url}/trpc/${feature}.${verb}`;
  const headers = {
    'content-type': 'application/json',
    ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
  };
  const body = JSON.stringify(input);
  const response =
    row.kind === 'query'
      ? await fetch(`${path}?input=${encodeURIComponent(body)}`, { headers })
      : await fetch(path, { method: 'POST', headers, body });
  const answer = z.object({ result: z.object({ data: z.unknown() }) }).parse(await response.json());
  // Parsed by this very row's schema.
  return row.output.parse(answer.result.data) as z.output<Schema<F, V, 'output'>>;
}

test(
  'a person signs up, makes an organization, writes documents, and finds them by words and by meaning',
  { timeout: 60_000 },
  async () => {
    const username = `walker-${randomUUID().slice(0, 8)}`;
    const email = `${username}@example.test`;
    const password = 'a long walk in the hills';
    const registered = await ask('auth', 'register', { email, username, password });
    bearer = registered.accessToken;
    expect((await ask('users', 'me', {})).organizations).toEqual([]);

    const organization = await ask('organizations', 'create', { name: 'Walkers', slug: username });
    const project = await ask('projects', 'create', { organizationId: organization.id, name: 'Trails' });
    const rain = await ask('documents', 'create', {
      projectId: project.id,
      title: 'Rain gear',
      content:
        '# Rain gear\n\nA jacket that keeps water out, gaiters, and dry socks in a sealed bag. Waterproof seams matter more than weight.',
    });
    const bread = await ask('documents', 'create', {
      projectId: project.id,
      title: 'Sourdough',
      content:
        '# Sourdough\n\nFlour, water, salt and a lively starter. Knead, let the dough rise over night, and bake it hot.',
    });
    expect((await ask('documents', 'list', { projectId: project.id })).items.map(({ id }) => id)).toEqual([
      bread.id,
      rain.id,
    ]);

    const byWords = await ask('search', 'query', { organizationId: organization.id, q: 'gaiters', mode: 'fulltext' });
    expect(byWords.hits.map(({ id }) => id)).toEqual([rain.id]);

    const byMeaning = await eventually(
      async () => {
        const answer = await ask('search', 'query', {
          organizationId: organization.id,
          q: 'clothes for wet weather',
          mode: 'semantic',
        });
        expect(answer.hits).toHaveLength(2);
        return answer;
      },
      { timeoutMs: 30_000, everyMs: 100 },
    );
    expect(byMeaning.hits[0]?.id).toBe(rain.id);
    const both = await ask('search', 'query', { organizationId: organization.id, q: 'how to bake bread' });
    expect(both.hits[0]?.id).toBe(bread.id);

    const summarized = await eventually(
      async () => {
        const document = await ask('documents', 'get', { id: rain.id });
        expect(document.aiSummary).not.toBeNull();
        return document;
      },
      { timeoutMs: 30_000, everyMs: 100 },
    );
    expect(summarized).toMatchObject({ version: 1, updatedAt: rain.updatedAt });

    const edited = await ask('documents', 'update', { id: rain.id, version: 1, title: 'Rain and snow gear' });
    expect(edited.version).toBe(2);
    expect(await ask('documents', 'delete', { id: bread.id })).toEqual({ id: bread.id, status: 'deleted' });
    expect((await ask('documents', 'list', { projectId: project.id })).items.map(({ id }) => id)).toEqual([rain.id]);

    const renewed = await ask('auth', 'refresh', { refreshToken: registered.refreshToken });
    bearer = renewed.accessToken;
    expect((await ask('users', 'me', {})).organizations).toMatchObject([{ id: organization.id, role: 'owner' }]);
    expect(await ask('auth', 'logout', {})).toEqual({ ok: true });
    const { accessToken } = await ask('auth', 'login', { email, password });
    bearer = accessToken;
    expect((await ask('users', 'me', {})).id).toBe(registered.user.id);
  },
);

test('the probes, the reference, the document of the API and the public keys answer anybody', async () => {
  for (const [path, type] of [
    ['/healthz', 'application/json'],
    ['/readyz', 'application/json'],
    ['/docs', 'text/html'],
    ['/openapi.json', 'application/json'],
    ['/.well-known/jwks.json', 'application/json'],
  ] as const) {
    const response = await fetch(`${api.url}${path}`);
    expect(response.status, path).toBe(200);
    expect(response.headers.get('content-type'), path).toContain(type);
    const text = await response.text();
    expect(text.length, path).toBeGreaterThan(10);
    if (path.endsWith('jwks.json')) expect(JSON.parse(text).keys[0]).not.toHaveProperty('d');
  }
});
