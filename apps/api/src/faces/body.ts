/** Reads a JSON request body within its cap. */
import type { IncomingMessage } from 'node:http';
import { bodyBytesMax } from '@novax/contracts/limits';
import { AppError } from '@novax/runtime/errors';

/**
 * The parsed body; `undefined` when it is empty.
 * Throws PAYLOAD_TOO_LARGE as soon as the length is announced or passed, UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED for broken JSON.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bodyBytesMax) throw new AppError('PAYLOAD_TOO_LARGE');
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop early must not destroy the socket: the refusal still has to go out on it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    // A request without an encoding yields buffers.
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > bodyBytesMax) throw new AppError('PAYLOAD_TOO_LARGE');
    chunks.push(bytes);
  }
  if (length === 0) return undefined;
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('application/json'))
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', { detail: `content-type "${type}"` });
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new AppError('VALIDATION_FAILED', { cause, issues: [{ path: '', message: 'The body is not valid JSON.' }] });
  }
}

/** Most bytes of a refused body that are read and thrown away so that the caller can hear the answer. */
const drainBytesMax = 32 * bodyBytesMax;

/** Throws the rest of a refused body away; gives the connection up when there is too much of it. */
export function drain(request: IncomingMessage): void {
  let drained = 0;
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length;
    if (drained > drainBytesMax) request.destroy();
  });
  request.resume();
}
