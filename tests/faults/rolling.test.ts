/** Releases: API processes are replaced one after another under load, behind a balancer that hears of it late. */
import { pause } from '@novax/runtime/clock';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeActors, type Actors } from '../kit/actors.ts';
import { startTestApi, type TestApi } from '../kit/api.ts';
import { makeProject } from '../kit/factories.ts';
import { eventually } from '../kit/eventually.ts';
import { apiProcess } from '../kit/faults/api-process.ts';
import { balancer } from '../kit/faults/balancer.ts';
import { type Call, startTraffic } from '../kit/faults/traffic.ts';
import { type OidcStub, startOidcStub } from '../kit/oidc-stub.ts';

const replacements = Number(process.env['NOVAX_REPLACEMENTS'] ?? 5);
/** For so long after the stop signal the balancer sends calls as before. */
const lateMs = 5_000;
const slowMs = 8_000;
/** Calls a second: the first of these that the machine, whatever else it does, answers at ease while nothing is replaced. Tried twice, for at first all is cold. */
const rates = [100, 100, 50, 25, 10];
const easeMs = 100;

let api: TestApi;
let actors: Actors;
let provider: OidcStub;
/** Questions to the provider about each realm. */
const asked = new Map<string, number>();
beforeAll(async () => {
  api = await startTestApi();
  actors = await makeActors(api);
  provider = await startOidcStub({
    async beforeDiscovery(realm) {
      asked.set(realm, (asked.get(realm) ?? 0) + 1);
      await pause(slowMs);
    },
  });
});
afterAll(async () => {
  await provider[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

/** A process of the release: its provider answers its first question about each realm after 8 s. */
const release = () =>
  apiProcess(api, {
    OIDC_PROVIDERS: JSON.stringify([provider.realm('in-hand'), provider.realm('last')]),
    OUTBOUND_ALLOW: [provider.origin],
    CHECK_OUTPUT: false,
    // As the product sets them.
    SHUTDOWN_DELAY_MS: undefined,
    SHUTDOWN_DEADLINE_MS: undefined,
  });

/** A call that is slow because somebody else is: the status of its answer, and how long that took. */
async function slowCall(url: string, realm: string): Promise<string> {
  const at = performance.now();
  const answer = await fetch(`${url}/trpc/auth.oauthStart`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ provider: realm }),
  });
  const text = await answer.text();
  const ms = performance.now() - at;
  return answer.status === 200 && ms >= slowMs ? 'answered' : `${answer.status} after ${Math.round(ms)} ms: ${text}`;
}

/** How many of these calls a second the machine answers at ease, and the p99 of that; the last rate even when it does not. */
async function bearable(call: Call): Promise<{ perSecond: number; peaceMs: number }> {
  for (const perSecond of rates) {
    const peace = startTraffic(perSecond, call);
    await eventually(() => expect(peace.answered()).toBeGreaterThan(3 * perSecond), { timeoutMs: 30_000 });
    const { p99Ms: peaceMs } = await peace.stop();
    if (peaceMs < easeMs || perSecond === rates.at(-1)) return { perSecond, peaceMs };
  }
  throw new Error('no rate is given');
}

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url);
  await answer.text();
  return answer.status;
}

test(
  'rolling replacement behind a balancer that sends on for 5 s: no call fails, and one of 8 s is answered',
  { timeout: 60_000 + replacements * 40_000 },
  async () => {
    const { authorization } = actors.owner;
    const { id: projectId } = await makeProject(actors.owner.client, { organizationId: actors.organizationId });
    await using front = await balancer();
    const running = [await release(), await release()];
    for (const { url } of running) front.add(url);
    const list = encodeURIComponent(JSON.stringify({ limit: 5 }));
    const call = async (turn: number) => {
      const write = turn % 5 === 0;
      const answer = await (write
        ? fetch(`${front.url}/trpc/documents.create`, {
            method: 'POST',
            headers: { authorization, 'content-type': 'application/json' },
            body: JSON.stringify({ projectId, title: `Document ${turn}`, content: '' }),
          })
        : fetch(`${front.url}/trpc/organizations.list?input=${list}`, { headers: { authorization } }));
      return { status: answer.status, text: await answer.text() };
    };
    const { perSecond, peaceMs } = await bearable(call);
    const traffic = startTraffic(perSecond, call);

    const slow: Promise<string>[] = [];
    const ends: Promise<{ code: number | NodeJS.Signals; ms: number }>[] = [];
    let unreadyMs = 0;
    let alive = true;
    for (let n = 0; n < replacements; n += 1) {
      const next = await release();
      front.add(next.url);
      running.push(next);
      const old = running.shift();
      if (old === undefined) throw new Error('nothing runs');
      slow.push(slowCall(old.url, 'in-hand'));
      await eventually(() => expect(asked.get('in-hand')).toBe(n + 1));
      old.signal('SIGTERM');
      const signalled = performance.now();
      front.remove(old.url, signalled + lateMs);
      ends.push(old.ended.then((code) => ({ code, ms: performance.now() - signalled })));
      await eventually(async () => expect(await statusOf(`${old.url}/readyz`)).toBe(503), { timeoutMs: 2_000 });
      unreadyMs = Math.max(unreadyMs, performance.now() - signalled);
      await eventually(
        async () => {
          alive &&= (await statusOf(`${old.url}/healthz`)) === 200;
          expect(performance.now() - signalled).toBeGreaterThan(lateMs - 100);
        },
        { timeoutMs: 2 * lateMs, everyMs: 100 },
      );
      // As the last call that the balancer sends to it; a machine too loaded to begin it in time has missed it.
      if (performance.now() - signalled < lateMs) slow.push(slowCall(old.url, 'last'));
    }
    const ended = await Promise.all(ends);
    const answers = await Promise.all(slow);
    const { calls, failed, p99Ms } = await traffic.stop();
    for (const process of running) await process[Symbol.asyncDispose]();
    globalThis.process.stdout.write(
      `${replacements} rolling replacements: ${calls} calls, ${perSecond} a second, ${failed.length} failed, p99 ${p99Ms} ms (${peaceMs} ms before); unready after ${Math.round(unreadyMs)} ms at most, gone after ${Math.round(Math.max(...ended.map(({ ms }) => ms)))} ms at most\n`,
    );
    expect({ failed: failed.slice(0, 5), balancer: front.failures.slice(0, 5) }).toEqual({ failed: [], balancer: [] });
    expect(answers).toEqual(answers.map(() => 'answered'));
    expect(ended.map(({ code }) => code)).toEqual(ended.map(() => 0));
    expect(alive).toBe(true);
    expect(unreadyMs).toBeLessThan(1_000);
    // 200 ms where this runs alone, as in the slow tests; beside other files their processes' starts are in it.
    expect(p99Ms).toBeLessThan(Math.max(replacements < 20 ? 1_000 : 200, 4 * peaceMs));
    expect(slow.length).toBeGreaterThan(replacements);
    expect(calls).toBeGreaterThan(replacements * 3 * perSecond);
  },
);
