/** A stand-in for the model's thread: it dies, hangs or fails when a text says so. */
import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ id, texts }: { id: number; texts: string[] }) => {
  if (texts.includes('die')) process.exit(3);
  if (texts.includes('hang')) return;
  if (texts.includes('fail')) return parentPort?.postMessage({ id, error: 'no' });
  parentPort?.postMessage({ id, vectors: texts.map((text) => Float32Array.of(text.length, texts.length)) });
});
