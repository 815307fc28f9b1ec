/** The time of an answer tells nothing either: another tenant's thing takes as long as one that does not exist. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call } from '../kit/call.ts';
import { type Ids, makeWorld, validInput } from '../kit/world.ts';

const rounds = 60;

let api: TestApi;
let world: Awaited<ReturnType<typeof makeWorld>>;
beforeAll(async () => {
  api = await startTestApi();
  world = await makeWorld(api);
});
afterAll(() => api[Symbol.asyncDispose]());

/** Ids of nothing, new for every call, as a guesser's would be. */
function nowhere(): Ids {
  const names = Object.keys(world.ids).map((name) => [name, randomUUID()]);
  // The same names as the world's own.
  return Object.fromEntries(names);
}

async function timed(path: string, ids: Ids): Promise<number> {
  const { authorization } = world.actors.outsider;
  const input = validInput(path, ids);
  const began = performance.now();
  const answer = await call(api.url, path, { input, authorization });
  const ms = performance.now() - began;
  expect(answer.code, answer.text).toBe('NOT_FOUND');
  return ms;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

test.each([
  'organizations.get',
  'projects.get',
  'documents.get',
  'documents.list',
  'documents.update',
  'projects.delete',
  'members.list',
  'members.remove',
  'apiKeys.revoke',
  'audit.list',
])('%s takes as long for a foreign id as for one of nothing', { timeout: 60_000 }, async (path) => {
  const [foreign, absent]: [number[], number[]] = [[], []];
  // Each in turn and the first of each pair by turns, so that whatever else the machine does meets both alike.
  for (let round = -10; round < rounds; round += 1) {
    const order = round % 2 === 0 ? ['foreign', 'absent'] : ['absent', 'foreign'];
    for (const which of order) {
      const ms = await timed(path, which === 'foreign' ? world.ids : nowhere());
      if (round >= 0) (which === 'foreign' ? foreign : absent).push(ms);
    }
  }
  const ratio = median(foreign) / median(absent);
  process.stdout.write(
    `${path}: foreign ${median(foreign).toFixed(2)} ms, absent ${median(absent).toFixed(2)} ms, ratio ${ratio.toFixed(3)}\n`,
  );
  expect(ratio).toBeGreaterThan(0.75);
  expect(ratio).toBeLessThan(1.33);
});
