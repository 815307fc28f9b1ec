/** Every procedure × every kind of caller, as declared in `authorization-matrix.ts`, against the running API. */
import { actions, type Action, roleMay, roles } from '@novax/contracts/permissions';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newPerson, testPassword, unique } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { call, rowOf, rows } from '../kit/call.ts';
import { type ActorKind, actorKinds, type Cell, type CellParts, makeCell } from '../kit/cells.ts';
import { connect } from '../kit/database.ts';
import { validInput } from '../kit/world.ts';
import { type Cells, matrix, type Outcome } from './authorization-matrix.ts';

/** Rows whose handlers answer INTERNAL until they are built; each must, so that the list cannot outlive its reason. */
const notBuilt: ReadonlySet<string> = new Set([
  'auth.verifyEmail',
  'auth.requestEmailVerification',
  'auth.changePassword',
  'auth.requestPasswordReset',
  'auth.resetPassword',
  'auth.listSessions',
  'auth.revokeSession',
  'auth.oauthProviders',
  'auth.oauthStart',
  'auth.oauthLink',
  'auth.oauthCallback',
  'auth.listAccounts',
  'auth.unlinkAccount',
  'auth.enrolTotp',
  'auth.confirmTotp',
  'auth.disableTotp',
  'users.updateProfile',
  'users.exportData',
  'users.erase',
  'apiKeys.create',
  'apiKeys.list',
  'apiKeys.revoke',
  'audit.list',
  'audit.export',
  'audit.verify',
]);

const keys: readonly ActorKind[] = ['keyWithoutScope', 'keyWithScope'];
const paths = [...rows.keys()];
const counts = { declared: paths.length * actorKinds.length, met: 0, unbuilt: 0, withoutKeys: 0 };

let api: TestApi;
let parts: CellParts & { readonly admin: AsyncDisposable };
/** Whether programs can call with API keys: then the cells of keys count like all others. */
let keysWork: boolean;
beforeAll(async () => {
  api = await startTestApi();
  const admin = await connect(api.database.adminUrl);
  const { id, client, authorization } = await newPerson(api);
  const { rows: people } = await admin.query<{ hash: string }>(
    'select password_hash as hash from users where id = $1',
    [id],
  );
  parts = { api, admin, passwordHash: people[0]?.hash ?? '' };
  const { id: organizationId } = await client.organizations.create.mutate({ name: 'Keys', slug: unique('keys') });
  const key = await call(api.url, 'apiKeys.create', {
    input: { organizationId, name: 'A key', scopes: ['document:read'] },
    authorization,
  });
  keysWork = key.code !== 'INTERNAL';
});
afterAll(async () => {
  await parts.admin[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

/** What the generated input lacks to succeed: secrets and things of the caller's own. */
const inputs: Readonly<Record<string, (own: Cell['own']) => Record<string, unknown>>> = {
  'auth.login': ({ email }) => ({ email }),
  'auth.refresh': ({ refreshToken }) => ({ refreshToken }),
  'auth.revokeSession': ({ sessionId }) => ({ id: sessionId }),
  'auth.unlinkAccount': ({ accountId }) => ({ id: accountId }),
  'members.acceptInvitation': ({ invitationToken }) => ({ token: invitationToken }),
  'users.erase': () => ({ password: testPassword }),
};

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
  const input = { ...validInput(path, ids), ...inputs[path]?.(own) };
  const answer = await call(api.url, path, { input, authorization });
  // Every code of an answer is one of the table: the faces write no other.
  return (answer.code as Outcome | undefined) ?? 'OK';
}

/** The cells of a row that are not as declared, as text. */
async function unmet(path: string, declared: Cells): Promise<string[]> {
  const wrong: string[] = [];
  let reachedUnbuilt = 0;
  for (const actor of actorKinds) {
    if (keys.includes(actor) && !keysWork) {
      counts.withoutKeys++;
      continue;
    }
    const got = await outcomeOf(path, actor);
    if (got === declared[actor]) counts.met++;
    else if (got === 'INTERNAL' && notBuilt.has(path)) reachedUnbuilt++;
    else wrong.push(`${path} × ${actor}: declared ${declared[actor]}, got ${got}`);
  }
  counts.unbuilt += reachedUnbuilt;
  if (notBuilt.has(path) && reachedUnbuilt === 0) wrong.push(`${path} is built: take it off the list`);
  return wrong;
}

test('every procedure of the contract is declared, and nothing else, each for every kind of caller', () => {
  const declared = Object.entries(matrix).flatMap(([feature, verbs]) =>
    Object.keys(verbs).map((verb) => `${feature}.${verb}`),
  );
  expect(declared.toSorted()).toEqual(paths.toSorted());
  for (const path of paths) expect(Object.keys(declaredFor(path)).toSorted(), path).toEqual(actorKinds.toSorted());
  expect(paths).toEqual(expect.arrayContaining([...notBuilt]));
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
  const { declared, met, unbuilt, withoutKeys } = counts;
  console.log(
    `authorization: ${paths.length} procedures × ${actorKinds.length} callers = ${declared} cells declared, ${met} met` +
      `, ${unbuilt} reach what is not built, ${withoutKeys} wait for API keys`,
  );
  expect(met + unbuilt + withoutKeys).toBe(declared);
  expect(withoutKeys === 0 || notBuilt.has('apiKeys.create')).toBe(true);
});
