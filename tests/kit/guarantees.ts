/** What every procedure owes its callers, as tests made from its row of the contract. */
import { randomUUID } from 'node:crypto';
import { errorTable } from '@novax/contracts/errors';
import { roleMay, roles } from '@novax/contracts/permissions';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { newPerson } from './actors.ts';
import { type Answer, call, type CallOptions, faces, rowOf, rows } from './call.ts';
import { type Ids, type makeWorld, validInput } from './world.ts';

type TestWorld = Awaited<ReturnType<typeof makeWorld>>;

/** The procedures of some features, so that test files can share the contract out among them. */
export function pathsOf(...features: readonly string[]): string[] {
  return [...rows.keys()].filter((path) => features.includes(path.split('.')[0] ?? ''));
}

/**
 * Declares the tests of one procedure: bad input, no credentials, roles that may not, ids that are somebody else's, and the same answer
 * from every face. Success is the calling file's to prove, because only it knows what success means.
 */
export function testGuarantees(path: string, world: () => TestWorld): void {
  const row = rowOf(path);
  const ask = (options: CallOptions): Promise<Answer> => call(world().api.url, path, options);

  test.each(faces.filter((face) => face !== 'rest' || takesInput(path)))(
    `${path} refuses a wrong input with VALIDATION_FAILED by %s`,
    async (face) => {
      const { authorization } = world().actors.owner;
      const answer = await ask({ face, input: wrongInput(path, world().ids), authorization });
      expectError(answer, 'VALIDATION_FAILED', face);
      expect(answer.text).toContain('"issues":[{');
    },
  );

  const signedIn = row.scope === 'public' ? [] : faces;
  test.each(signedIn)(`${path} refuses callers without credentials by %s`, async (face) => {
    const input = validInput(path, world().ids);
    const without = await ask({ face, input });
    expectError(without, 'UNAUTHENTICATED', face);
    for (const authorization of [
      'Bearer',
      'Bearer x.y.z',
      'Basic dTpw',
      world().actors.owner.authorization.slice(0, -3),
    ]) {
      expectError(await ask({ face, input, authorization }), 'UNAUTHENTICATED', face);
    }
  });

  const refused =
    row.needs === undefined ? [] : roles.filter((role) => row.needs !== undefined && !roleMay(role, row.needs));
  // Below admins the policies hide these things, so that a weaker role cannot tell them from what does not exist.
  const refusal = row.scope === 'invitation' || row.scope === 'apiKey' ? 'NOT_FOUND' : 'FORBIDDEN';
  test.each(refused)(`${path} is ${refusal} to a %s`, async (role) => {
    const { authorization } = world().actors[role];
    for (const face of faces)
      expectError(await ask({ face, input: validInput(path, world().ids), authorization }), refusal, face);
  });

  const named = idFields(path);
  if (named.length > 0)
    test(`${path} answers another tenant's id exactly as one that does not exist`, async () => {
      const { authorization } = world().actors.outsider;
      const requestId = randomUUID();
      const nowhere: Ids = {
        organizationId: randomUUID(),
        projectId: randomUUID(),
        documentId: randomUUID(),
        ownerId: randomUUID(),
        memberId: randomUUID(),
        invitationId: randomUUID(),
        apiKeyId: randomUUID(),
      };
      // Names that are made anew for each input may not differ between the two.
      const foreign = validInput(path, world().ids);
      const absent = { ...foreign, ...only(validInput(path, nowhere), named) };
      for (const face of faces) {
        const theirs = await ask({ face, input: foreign, authorization, requestId });
        const nobodys = await ask({ face, input: absent, authorization, requestId });
        expectError(theirs, 'NOT_FOUND', face);
        expect(theirs.text).toBe(nobodys.text);
        expect(theirs.status).toBe(nobodys.status);
      }
    });

  if (named.length > 0)
    test(`${path} answers a new person NOT_FOUND, who belongs to nothing`, async () => {
      const { authorization } = await newPerson(world().api);
      expectError(await ask({ input: validInput(path, world().ids), authorization }), 'NOT_FOUND', 'trpc');
    });
}

/** Checks that an answer is this error of the table, in its face's own format, and tells nothing more. */
export function expectError(answer: Answer, code: keyof typeof errorTable, face: (typeof faces)[number]): void {
  expect(answer.code, answer.text).toBe(code);
  expect(answer.status).toBe(errorTable[code].http);
  expect(answer.contentType).toContain(face === 'rest' ? 'application/problem+json' : 'application/json');
  expect(answer.text).toContain(`"requestId":"${answer.requestId}"`);
  expect(answer.text).not.toMatch(/stack|node_modules|\.ts:|select |insert /i);
}

/** Fields of the input that hold ids of things in an organization. */
function idFields(path: string): string[] {
  const a: Ids = {
    organizationId: 'a',
    projectId: 'a',
    documentId: 'a',
    ownerId: 'a',
    memberId: 'a',
    invitationId: 'a',
    apiKeyId: 'a',
  };
  return Object.entries(validInput(path, a)).flatMap(([name, value]) => (value === 'a' ? [name] : []));
}

function only(input: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, input[name]]));
}

const isId = /^[0-9a-f-]{36}$/;

/** An input that is wrong in one place; for procedures that ask for nothing, one that is no object. */
function wrongInput(path: string, ids: Ids): unknown {
  const input = validInput(path, ids);
  const [first] = Object.entries(input);
  if (first !== undefined) return { ...input, [first[0]]: isId.test(String(first[1])) ? 'not-an-id' : '' };
  return takesInput(path) && rowOf(path).kind === 'query' ? { limit: 0 } : [];
}

/** False for reads that ask for nothing: what a REST caller sends with them has no place to be wrong in. */
function takesInput(path: string): boolean {
  const { input, kind } = rowOf(path);
  return kind === 'mutation' || (input instanceof z.ZodObject && Object.keys(input.shape).length > 0);
}
