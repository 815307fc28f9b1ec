/** Every process of an event's way, killed at every named place: nothing is lost, done twice, out of order, or done though it never happened. */
import { crashPoints, type CrashPoint } from '@novax/runtime/crash';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { call } from '../kit/call.ts';
import { eventually } from '../kit/eventually.ts';
import { checkHistory } from '../kit/faults/check-history.ts';
import type { Moment } from '../kit/faults/history.ts';
import { changeOf, startLine, type Line } from '../kit/faults/line.ts';
import type { TestProcess } from '../kit/faults/processes.ts';

const rounds = Number(process.env['NOVAX_CRASH_ROUNDS'] ?? 3);
/** Changes a document gets at least, and at most until the armed process must have died of them. */
const updates = { atLeast: 4, atMost: 60 } as const;

let line: Line;
let running: Map<'relay' | 'witness', TestProcess>;
const tally = { rounds: 0, writes: 0, crashes: 0, findings: 0 };

beforeAll(async () => {
  line = await startLine();
  running = new Map([
    ['relay', await line.relay()],
    ['witness', await line.witness()],
  ]);
});
afterAll(async () => {
  process.stdout.write(
    `crash matrix: ${tally.crashes} crashes at ${crashPoints.length} places, ${tally.writes} writes, ${tally.findings} anomalies\n`,
  );
  await line[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const name of ['relay', 'witness'] as const) {
    const process = running.get(name);
    // Whatever a failed test left dead or armed is replaced, so that it does not fail the next one.
    if (process !== undefined && (await hasEnded(process))) running.set(name, await line[name]());
  }
});

/** Where a place is passed when documents are written: in the API, the relay or a consumer. */
const homes: Readonly<Record<CrashPoint, 'api' | 'relay' | 'witness' | 'jobs'>> = {
  'tx.before_commit': 'api',
  'tx.after_commit': 'api',
  'relay.after_claim': 'relay',
  'relay.after_publish': 'relay',
  'relay.after_ack': 'relay',
  'relay.after_mark': 'relay',
  'consumer.before_effect': 'witness',
  'consumer.after_effect': 'witness',
  'consumer.after_ack': 'witness',
  // Jobs have a matrix of their own, by what stands in the tables afterwards.
  'job.after_effect': 'jobs',
};

const places = crashPoints.filter((point) => homes[point] !== 'jobs');
describe.each(places)('killed at %s', (point) => {
  test.each(Array.from({ length: rounds }, (_, n) => n + 1))('the %i. time', { timeout: 60_000 }, async (times) => {
    tally.rounds += 1;
    const documents = [await line.document(), await line.document()];
    const history: Moment[] = documents.flatMap((id) => [
      { type: 'invoke', ...changeOf(id, 1) },
      { type: 'ok', ...changeOf(id, 1) },
    ]);
    await settled(documents);

    const home = homes[point];
    if (home === 'relay' || home === 'witness') {
      const old = running.get(home);
      old?.signal('SIGKILL');
      await old?.ended;
      const armed = await line[home](`${point}:${times}`);
      running.set(home, armed);
      await write(documents, { history, url: line.api.url, armed });
      expect(await armed.ended).toBe('SIGKILL');
      running.set(home, await line[home]());
    } else {
      const armed = await line.apiProcess(`${point}:${times}`);
      await write(documents, { history, url: armed.url, armed });
      expect(await armed.ended).toBe('SIGKILL');
    }
    tally.crashes += 1;

    await settled(documents);
    await eventually(
      async () => {
        const findings = checkHistory([...history, ...(await line.effects(documents))], ['witness']);
        expect(findings).toEqual([]);
      },
      { timeoutMs: 15_000, everyMs: 50 },
    ).catch(async (thrown: unknown) => {
      tally.findings += 1;
      throw thrown;
    });
  });
});

/** Updates the documents in turn, as a client would that goes on after an answer was lost. */
async function write(
  documents: readonly string[],
  { history, url, armed }: { readonly history: Moment[]; readonly url: string; readonly armed: TestProcess },
): Promise<void> {
  const { authorization } = line.actors.owner;
  let dead = false;
  void armed.ended.then(() => (dead = true));
  await Promise.all(
    documents.map(async (id) => {
      // A process that takes many events at a time passes a place less often than there are events.
      for (let version = 1; version <= updates.atLeast || (!dead && version <= updates.atMost); version += 1) {
        const change = changeOf(id, version + 1);
        history.push({ type: 'invoke', ...change });
        tally.writes += 1;
        const input = { id, version, content: `Version ${version + 1} of a text.` };
        const answer = await call(url, 'documents.update', { input, authorization }).catch(() => undefined);
        // No answer: the process died, before the commit or after it.
        history.push({ type: answer === undefined ? 'info' : answer.status === 200 ? 'ok' : 'fail', ...change });
        if (answer?.status !== 200) return;
      }
    }),
  );
}

/** Waits until every committed event of the documents is published and the witness has noted each. */
async function settled(documents: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      expect(await line.pending(documents)).toBe(0);
      const { rows } = await line.admin.query<{ owed: string }>(
        `select count(*) as owed from events e where e.aggregate_id = any($1) and not exists (select from inbox i where i.consumer = 'witness' and i.event_id = e.event_id)`,
        [documents],
      );
      expect(Number(rows[0]?.owed)).toBe(0);
    },
    { timeoutMs: 30_000, everyMs: 50 },
  );
}

async function hasEnded(process: TestProcess): Promise<boolean> {
  return Promise.race([process.ended.then(() => true), Promise.resolve(false)]);
}
