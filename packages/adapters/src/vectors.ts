/** Brings a model's vectors to the stored form: padded with zeros, Euclidean norm 1. */
import { vectorDims } from '@novax/domain/ports';
import { AppError } from '@novax/runtime/errors';

/** `vectorDims` numbers of norm 1. Throws DEPENDENCY_UNAVAILABLE for a vector that is too long, not finite, or all zero: the model is broken. */
export function storedVector(raw: ArrayLike<number>): Float32Array {
  if (raw.length > vectorDims)
    throw brokenModel(`vectors of ${raw.length} numbers; at most ${vectorDims} can be stored`);
  let squares = 0;
  for (let at = 0; at < raw.length; at++) squares += (raw[at] ?? 0) ** 2;
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm) || norm === 0) throw brokenModel('a vector without direction');
  const vector = new Float32Array(vectorDims);
  for (let at = 0; at < raw.length; at++) vector[at] = (raw[at] ?? 0) / norm;
  return vector;
}

function brokenModel(what: string): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', { detail: `the embedding model answered ${what}` });
}
