/** JSON logs, one object a line, with secrets redacted. */
import pino from 'pino';

export type Logger = pino.Logger;

/** Paths that never reach a log line, whatever object they stand in. */
const redactedPaths = ['authorization', 'password', 'refreshToken', 'accessToken', 'token', 'cookie', 'secret'].flatMap(
  (name) => [name, `*.${name}`, `*.*.${name}`],
);

/** A logger named after its process; writes to standard output. */
export function createLogger(options: { readonly name: string; readonly level: string }): Logger {
  return pino({
    name: options.name,
    level: options.level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: redactedPaths, censor: '[redacted]' },
  });
}
