/** A log that a process writes through us, kept small by turning the file over. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export interface LogFile {
  readonly path: string;
  write(chunk: Uint8Array | string): void;
  close(): void;
}

const MAX_BYTES = 10 * 1024 * 1024;
const KEPT = 3;

/** Appends to `path`; past `maxBytes` it becomes `path.1` (then `.2`, `.3`, the oldest is deleted). A full disk loses log lines, nothing else. */
export function openLogFile(path: string, maxBytes = MAX_BYTES): LogFile {
  mkdirSync(dirname(path), { recursive: true });
  let fd = openSync(path, 'a', 0o640);
  let size = statSync(path).size;
  let closed = false;
  const turnOver = (): void => {
    closeSync(fd);
    rmSync(`${path}.${KEPT}`, { force: true });
    for (let n = KEPT - 1; n >= 0; n -= 1) {
      const from = n === 0 ? path : `${path}.${n}`;
      try {
        renameSync(from, `${path}.${n + 1}`);
      } catch {
        continue;
      }
    }
    fd = openSync(path, 'a', 0o640);
    size = 0;
  };
  return {
    path,
    write: (chunk) => {
      if (closed) return;
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      try {
        if (size > 0 && size + bytes.length > maxBytes) turnOver();
        writeSync(fd, bytes);
        size += bytes.length;
      } catch {
        // Nowhere is left to say it.
      }
    },
    close: () => {
      if (closed) return;
      closed = true;
      closeSync(fd);
    },
  };
}
