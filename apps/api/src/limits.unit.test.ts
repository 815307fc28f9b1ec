/** The stages of the limits, and the setting that tunes them. */
import { contract } from '@novax/contracts/api/contract';
import { rateLimits } from '@novax/contracts/limits';
import { fakeRateLimiter } from '@novax/adapters/fakes/rate-limit';
import { AppError } from '@novax/runtime/errors';
import { createMetrics } from '@novax/runtime/metrics';
import { describe, expect, test } from 'vitest';
import { createKnownMembers } from './known-members.ts';
import { createLimits } from './limits.ts';
import { limitsSchema } from './limits-setting.ts';
import type { Caller, RequestFacts } from './request.ts';

const caller: Caller = { kind: 'session', userId: 'u', sessionId: 's', sidHash: 'h' };
const create = { path: 'documents.create', row: contract.documents.create };
const update = { path: 'documents.update', row: contract.documents.update };
const request = (): RequestFacts => ({
  face: 'trpc',
  authorization: undefined,
  userAgent: null,
  call: { requestId: 'r', ip: '192.0.2.1', traceparent: null },
  rate: { tightest: null },
});

function staged(limits: Readonly<Record<string, number>>) {
  const metrics = createMetrics();
  const limiter = fakeRateLimiter({ now: () => new Date(0) });
  const counted = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await metrics.rateLimited.get()).values.map(({ labels, value }) => [labels.class, value]));
  return { stages: createLimits({ limiter, limits: { ...rateLimits, ...limits }, metrics }), counted };
}

const code = (work: Promise<void>): Promise<string> =>
  work.then(
    () => 'OK',
    (thrown: unknown) => (thrown instanceof AppError ? thrown.code : 'none'),
  );

describe('stages', () => {
  test('each refusal is counted under the window that refused: address, class, procedure or organization', async () => {
    const { stages, counted } = staged({ 'address': 1, 'write': 1, 'documents.create': 1, 'organization': 3 });
    const by = { caller, orgId: 'o' };
    for (let call = 0; call < 2; call++) await code(stages.address(request(), create));
    for (let call = 0; call < 3; call++) await code(stages.caller(request(), update, by));
    for (let call = 0; call < 4; call++) await code(stages.caller(request(), create, by));
    await stages.organization(request(), update, 'o');
    for (let call = 0; call < 5; call++) await code(stages.organization(request(), update, 'o'));
    expect(await counted()).toEqual({ 'address': 1, 'write': 2, 'documents.create': 3, 'organization': 5 });
  });

  test('a procedure with a limit of its own has it in place of that of its class', async () => {
    const { stages } = staged({ 'write': 1, 'documents.create': 3 });
    const answers = [];
    for (let call = 0; call < 4; call++)
      answers.push(await code(stages.caller(request(), create, { caller, orgId: null })));
    answers.push(await code(stages.caller(request(), update, { caller, orgId: null })));
    expect(answers).toEqual(['OK', 'OK', 'OK', 'RATE_LIMITED', 'OK']);
  });

  test('a call that its organization refuses costs the caller nothing', async () => {
    const { stages } = staged({ organization: 1, write: 5 });
    for (let call = 0; call < 10; call++) await code(stages.caller(request(), update, { caller, orgId: 'o' }));
    const facts = request();
    await stages.caller(facts, update, { caller, orgId: null });
    expect(facts.rate.tightest).toMatchObject({ limit: 5, remaining: 3 });
  });

  test('a request reports the tightest window of all its stages, and a refusal before any other', async () => {
    const { stages } = staged({ address: 2, write: 50, organization: 0 });
    const facts = request();
    await stages.address(facts, update);
    await stages.caller(facts, update, { caller, orgId: null });
    expect(facts.rate.tightest).toMatchObject({ limit: 2, remaining: 1 });
    expect(await code(stages.organization(facts, update, 'o'))).toBe('RATE_LIMITED');
    expect(facts.rate.tightest).toMatchObject({ admitted: false, limit: 0 });
  });
});

describe('members seen', () => {
  test('are remembered for a minute, each in their own organizations', () => {
    let now = 0;
    const members = createKnownMembers({ now: () => new Date(now) });
    members.add('u', 'o');
    expect([members.has('u', 'o'), members.has('u', 'p'), members.has('v', 'o')]).toEqual([true, false, false]);
    now = 60_000;
    expect(members.has('u', 'o')).toBe(false);
  });

  test('are no more than 20,000: the one seen longest ago is forgotten', () => {
    const members = createKnownMembers({ now: () => new Date(0) });
    members.add('first', 'o');
    for (let n = 1; n < 20_000; n++) members.add(`u${n}`, 'o');
    expect(members.has('first', 'o')).toBe(true);
    members.add('first', 'o');
    members.add('last', 'o');
    expect([members.has('first', 'o'), members.has('u1', 'o'), members.has('last', 'o')]).toEqual([true, false, true]);
  });
});

describe('RATE_LIMITS', () => {
  const parsed = (text?: string) => limitsSchema.safeParse(text);

  test('changes classes and single procedures, and leaves the rest as delivered', () => {
    expect(parsed().data).toEqual(rateLimits);
    expect(parsed('{"read":7,"documents.create":30}').data).toEqual({
      ...rateLimits,
      'read': 7,
      'documents.create': 30,
    });
  });

  test.each(['{"reads":1}', '{"documents.craete":1}', '{"toString":1}'])(
    '%s is refused, naming what is unknown and what is known',
    (text) => {
      const message = parsed(text).error?.message ?? '';
      expect(message).toContain(`unknown: ${Object.keys(JSON.parse(text)).join()}`);
      for (const name of [...Object.keys(rateLimits), 'documents.create', 'users.me']) expect(message).toContain(name);
    },
  );

  test.each(['{', '[]', '7', '{"read":0}', '{"read":-1}', '{"read":1.5}', '{"read":"9"}'])(
    '%s is refused with an example',
    (text) => expect(parsed(text).error?.message).toContain('JSON like {\\"read\\":120'),
  );
});
