/**
 * A stranger's first minute with a running NovaX: register, organization, project, document; then the document is found by its meaning.
 * `node .ci/walk.mjs <base URL>`; exit 0 when it was found. Node alone, no package.
 */
import { randomBytes } from 'node:crypto';

const EMBED_TIMEOUT_MS = 60_000;
const base = process.argv[2] ?? 'http://127.0.0.1:3000';
const run = randomBytes(4).toString('hex');
let token;

const say = (text) => process.stdout.write(`${text}\n`);

/** The JSON answer; throws with status and body when it is not `expected`. */
async function call(method, path, { body, expected }) {
  const response = await fetch(new URL(path, base), {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(15_000),
  });
  const text = await response.text();
  if (response.status !== expected)
    throw new Error(`${method} ${path} answered ${response.status}, not ${expected}: ${text.slice(0, 1000)}`);
  return JSON.parse(text);
}

const post = (path, body) => call('POST', path, { body, expected: 201 });
const get = (path) => call('GET', path, { expected: 200 });

async function main() {
  const ready = await get('/readyz');
  say(`ready: ${JSON.stringify(ready)}`);

  ({ accessToken: token } = await post('/api/v1/auth/register', {
    email: `walk-${run}@example.com`,
    username: `walk_${run}`,
    password: randomBytes(18).toString('base64url'),
  }));
  const organization = await post('/api/v1/organizations', { name: 'Walk', slug: `walk-${run}` });
  const project = await post('/api/v1/projects', { organizationId: organization.id, name: 'Handbook' });
  const decoy = await post('/api/v1/documents', {
    projectId: project.id,
    title: 'Expense reports',
    content: 'Receipts are handed in by the fifth of the month. Accounting pays them back with the next salary.',
  });
  const document = await post('/api/v1/documents', {
    projectId: project.id,
    title: 'Watering the plants',
    content: 'The ferns in the hallway need water twice a week. In summer the balcony herbs are watered every evening.',
  });
  const created = performance.now();
  say(`created document ${document.id} "${document.title}" and another, ${decoy.id}`);

  // None of the document's nouns: only its meaning can find it.
  const query = new URLSearchParams({
    organizationId: organization.id,
    q: 'how often should I irrigate houseplants',
    mode: 'semantic',
  });
  for (;;) {
    const { hits, engine, tookMs } = await get(`/api/v1/search?${query}`);
    if (hits.some((hit) => hit.id === document.id) && hits.some((hit) => hit.id === decoy.id)) {
      const seconds = ((performance.now() - created) / 1000).toFixed(2);
      say(
        `semantic search (${engine ?? 'engine not named'}, ${tookMs ?? '?'} ms) found both ${seconds} s after the last 201:`,
      );
      for (const hit of hits) say(`  ${Number(hit.score).toFixed(3)}  ${hit.title}`);
      if (hits[0].id !== document.id) throw new Error('the document about plants is not the first hit');
      return;
    }
    if (performance.now() - created > EMBED_TIMEOUT_MS)
      throw new Error(`not found after ${EMBED_TIMEOUT_MS / 1000} s; hits: ${JSON.stringify(hits)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

await main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
});
