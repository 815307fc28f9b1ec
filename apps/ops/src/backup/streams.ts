/** Streaming with checksums: bytes are hashed and counted on their way, never held. */
import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';

export interface Meter extends Transform {
  /** Known once the stream has ended. */
  result(): { bytes: number; lines: number; sha256: string };
}

const NEWLINE = 0x0a;

/** Passes everything through. `lines` is the number of rows of COPY's text format, which spells a newline inside a value as `\n`. */
export function meter(options: { countLines?: boolean } = {}): Meter {
  const hash = createHash('sha256');
  let bytes = 0;
  let lines = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      if (options.countLines)
        for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines += 1;
      done(null, chunk);
    },
  });
  let digest: string | undefined;
  return Object.assign(stream, { result: () => ({ bytes, lines, sha256: (digest ??= hash.digest('hex')) }) });
}
