/** Every procedure × every kind of caller, as declared in `authorization-matrix.ts`, against the running API. */
import { actions, type Action, roleMay, roles } from '@novax/contracts/permissions';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call, rowOf, rows } from '../kit/call.ts';
import { type ActorKind, actorKinds, type CellParts, hashOfTestPassword, makeCell, ownInputs } from '../kit/cells.ts';
import { connect } from '../kit/database.ts';
import { validInput } from '../kit/world.ts';
import { type Cells, matrix, type Outcome } from './authorization-matrix.ts';

const paths = [...rows.keys()];
const counts = { declared: paths.length * actorKinds.length, met: 0 };

let api: TestApi;
let parts: CellParts & { readonly admin: AsyncDisposable };
beforeAll(async () => {
  api = await startTestApi();
  const admin = await connect(api.database.adminUrl);
  parts = { api, admin, passwordHash: await hashOfTestPassword(api, admin) };
});
afterAll(async () => {
  await parts.admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

function declaredFor(path: string): Cells {
  const [feature = '', verb = ''] = path.split('.');
  // Same keys as the contract, by the type of Matrix.
  const declared = (matrix as Record<string, Record<string, Cells>>)[feature]?.[verb];
  if (declared === undefined) throw new Error(`${path} is not in the authorization matrix`);
  return declared;
}

/** The scopes of a cell's key: all that there are, or all but what the row needs. */
function scopesFor(path: string, actor: ActorKind): readonly Action[] {
  const { needs } = rowOf(path);
  if (needs === undefined) return actions;
  return actor === 'keyWithScope' ? [needs] : actions.filter((action) => action !== needs);
}

async function outcomeOf(path: string, actor: ActorKind): Promise<Outcome> {
  const { ids, authorization, own } = await makeCell(parts, actor, scopesFor(path, actor));
  const input = { ...validInput(path, ids), ...ownInputs[path]?.(own) };
  const answer = await call(api.url, path, { input, authorization });
  // Every code of an answer is one of the table: the faces write no other.
  return (answer.code as Outcome | undefined) ?? 'OK';
}

/** The cells of a row that are not as declared, as text. */
async function unmet(path: string, declared: Cells): Promise<string[]> {
  const wrong: string[] = [];
  for (const actor of actorKinds) {
    const got = await outcomeOf(path, actor);
    if (got === declared[actor]) counts.met++;
    else wrong.push(`${path} × ${actor}: declared ${declared[actor]}, got ${got}`);
  }
  return wrong;
}

test('every procedure of the contract is declared, and nothing else, each for every kind of caller', () => {
  const declared = Object.entries(matrix).flatMap(([feature, verbs]) =>
    Object.keys(verbs).map((verb) => `${feature}.${verb}`),
  );
  expect(declared.toSorted()).toEqual(paths.toSorted());
  for (const path of paths) expect(Object.keys(declaredFor(path)).toSorted(), path).toEqual(actorKinds.toSorted());
});

test('the declared table and the table of permissions agree about every role', () => {
  for (const path of paths) {
    const { needs } = rowOf(path);
    if (needs === undefined) continue;
    const declared = declaredFor(path);
    for (const role of roles) {
      const refused = declared[role] === 'FORBIDDEN' || declared[role] === 'NOT_FOUND';
      expect(refused, `${path} × ${role}`).toBe(!roleMay(role, needs));
    }
  }
});

test.each(paths)('%s answers every kind of caller as declared', async (path) => {
  expect(await unmet(path, declaredFor(path))).toEqual([]);
});

test('a cell that is declared wrongly is noticed', async () => {
  const before = { ...counts };
  const declared = { ...declaredFor('projects.create'), viewer: 'OK' } as const;
  expect(await unmet('projects.create', declared)).toEqual(['projects.create × viewer: declared OK, got FORBIDDEN']);
  Object.assign(counts, before);
});

test('all cells of the matrix were met', () => {
  const { declared, met } = counts;
  console.log(
    `authorization: ${paths.length} procedures × ${actorKinds.length} callers = ${declared} cells declared, ${met} met`,
  );
  expect(met).toBe(declared);
});
