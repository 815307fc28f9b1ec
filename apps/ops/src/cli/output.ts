/** Standard output of a verb: a table or text for people, JSON for programs, never both. */
import Table from 'cli-table3';
import colors from 'picocolors';
import { createProgress } from './progress.ts';
import type { Progress, Sink } from './progress.ts';

export type OutputFormat = 'table' | 'json';

export interface Output {
  readonly format: OutputFormat;
  /** True when standard output is a terminal and nothing (CI, NO_COLOR) speaks against moving bars. */
  readonly interactive: boolean;
  /** picocolors; every function is the identity where colours are off. */
  readonly colors: ReturnType<typeof colors.createColors>;
  /** One line for people on standard output; nothing in JSON format. */
  line(text?: string): void;
  /** One line on standard error in either format. */
  note(text: string): void;
  /** A table for people; nothing in JSON format. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  /** The whole result as one JSON document; nothing in table format. */
  json(value: unknown): void;
  /** One of many results as one line of JSON, for results that have no end; nothing in table format. */
  record(value: unknown): void;
  /** A progress line on standard error; silent in JSON format unless standard error is a terminal. */
  progress(label: string): Progress;
}

const PLAIN_BORDERS = {
  'top': '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  'bottom': '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  'left': '',
  'left-mid': '',
  'mid': '',
  'mid-mid': '',
  'right': '',
  'right-mid': '',
  'middle': '  ',
};

/** Builds the output of one run. Colours: only on a terminal and without `NO_COLOR`, or forced by `FORCE_COLOR`. */
export function createOutput(options: {
  format: OutputFormat;
  stdout: Sink;
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
}): Output {
  const { format, stdout, stderr, env } = options;
  const human = format === 'table';
  const palette = colors.createColors(wantsColor(stdout, env));
  return {
    format,
    interactive: stdout.isTTY === true && !env['CI'],
    colors: palette,
    line: (text = '') => {
      if (human) stdout.write(`${text}\n`);
    },
    note: (text) => {
      stderr.write(`${text}\n`);
    },
    table: (head, rows) => {
      if (!human) return;
      const table = new Table({
        head: head.map((cell) => palette.bold(cell)),
        chars: PLAIN_BORDERS,
        style: { 'head': [], 'border': [], 'padding-left': 0, 'padding-right': 0 },
      });
      table.push(...rows.map((row) => [...row]));
      stdout.write(`${table.toString().replaceAll(/[ \t]+$/gm, '')}\n`);
    },
    json: (value) => {
      if (!human) stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    },
    record: (value) => {
      if (!human) stdout.write(`${JSON.stringify(value)}\n`);
    },
    progress: (label) =>
      createProgress(label, {
        sink: stderr,
        moving: stderr.isTTY === true && !env['CI'],
        silent: !human && stderr.isTTY !== true,
      }),
  };
}

function wantsColor(stdout: Sink, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return true;
  return stdout.isTTY === true && env['TERM'] !== 'dumb';
}

/** "850 ms", "2.4 s", "3 min 05 s", "4 h 12 min", "2 d 3 h": two units at most. */
export function humanDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
