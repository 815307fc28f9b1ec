/** `npm test [-- filters and options of vitest]`: runs every test and ends with `N passed, N failed, N skipped`, whatever becomes of vitest. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { closingLine, COUNTS_FILE_ENV, type TestCounts } from './reporter.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'novax-test-run-'));
const countsFile = join(scratch, 'counts.json');

const exitCode = await runVitest(process.argv.slice(2));
const counts = readCounts();
rmSync(scratch, { recursive: true, force: true });
// An exit code without a failure to show for it (a crash, no file matched, a broken set-up) is itself the failure.
if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
process.stdout.write(`\n${closingLine(counts)}\n`);
process.exitCode = exitCode === 0 && counts.failed > 0 ? 1 : exitCode;

/** Runs vitest under this very Node in the foreground, hands signals on, and answers its exit code (128 + n after signal n). */
function runVitest(args: readonly string[]): Promise<number> {
  const child = spawn(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', join(root, 'vitest.config.ts'), ...args],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        [COUNTS_FILE_ENV]: countsFile,
        PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
      },
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`vitest did not start: ${error.message}\n`);
      resolve(1);
    });
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** What the reporter counted; one failure when the run ended before it could count. */
function readCounts(): TestCounts {
  try {
    const { passed, failed, skipped } = JSON.parse(readFileSync(countsFile, 'utf8'));
    return { passed, failed, skipped };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
