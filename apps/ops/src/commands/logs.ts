/** `novax logs`: the last lines of the processes' logs, and what comes after. */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples, UsageFailure } from '../cli/command.ts';
import { logDir } from '../supervisor/state.ts';

const POLL_MS = 200;
const TAIL_BYTES = 256 * 1024;

export function register(command: Command, context: () => CommandContext): void {
  command
    .argument('[name]', 'process whose log to show; all of them without it')
    .option('-f, --follow', 'go on showing lines as they are written')
    .option('-n, --lines <count>', 'how many lines to begin with', '50')
    .addHelpText('after', examples('npx novax logs', 'npx novax logs api -f', 'npx novax logs postgres -n 200'))
    .action(async (name, { follow = false, lines }) => {
      const count = Number(lines);
      if (!Number.isInteger(count) || count < 0)
        throw new UsageFailure(`--lines must be a whole number, not "${lines}"`);
      await logs(context(), { name, follow, count });
    });
}

async function logs(
  context: CommandContext,
  options: { name: string | undefined; follow: boolean; count: number },
): Promise<void> {
  const { dir, out, signal } = context;
  const names = (await readdir(logDir(dir)).catch(() => []))
    .filter((file) => file.endsWith('.log'))
    .map((file) => basename(file, '.log'))
    .toSorted();
  if (names.length === 0) throw new CommandFailure('there are no logs yet', { hint: 'start with: npx novax up' });
  const { name } = options;
  if (name !== undefined && !names.includes(name))
    throw new UsageFailure(`there is no log called "${name}"`, { hint: `there are: ${names.join(', ')}` });
  const shown = name === undefined ? names : [name];
  const width = Math.max(...shown.map((one) => one.length));
  const print = (from: string, line: string): void => {
    if (out.format === 'json') return out.record({ name: from, line });
    out.line(shown.length === 1 ? line : `${out.colors.cyan(from.padEnd(width))}  ${line}`);
  };
  const tails = shown.map((one) => ({ name: one, path: join(logDir(dir), `${one}.log`), offset: 0, rest: '' }));
  for (const tail of tails) {
    const { lines, size } = await lastLines(tail.path, options.count);
    for (const line of lines) print(tail.name, line);
    tail.offset = size;
  }
  while (options.follow && !signal.aborted) {
    for (const tail of tails) {
      const { size } = await stat(tail.path).catch(() => ({ size: 0 }));
      // A smaller file is a new one: the old was turned over.
      if (size < tail.offset) tail.offset = 0;
      if (size === tail.offset) continue;
      const lines = (tail.rest + (await readRange(tail.path, { from: tail.offset, to: size }))).split('\n');
      tail.rest = lines.pop() ?? '';
      tail.offset = size;
      for (const line of lines) print(tail.name, line);
    }
    await pause(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function lastLines(path: string, count: number): Promise<{ lines: string[]; size: number }> {
  const { size } = await stat(path);
  const text = await readRange(path, { from: Math.max(0, size - TAIL_BYTES), to: size });
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return { lines: count === 0 ? [] : lines.slice(-count), size };
}

async function readRange(path: string, range: { from: number; to: number }): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(range.to - range.from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, range.from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
