/** One line that shows how far a piece of work is: a moving bar on a terminal, a few plain lines everywhere else. */

/** Something with `write`, as `process.stdout` is; `isTTY` and `columns` decide on colours and bars. */
export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface Progress {
  /** `fraction` is 0–1 and absent when the end is not known; `detail` is a few words. */
  update(detail: string, fraction?: number): void;
  /** Ends the line with what was achieved. Further calls do nothing. */
  done(text?: string): void;
  /** Ends the line with what went wrong. Further calls do nothing. */
  fail(text?: string): void;
  /** Prints a lasting line above a moving bar. */
  line(text: string): void;
}

const BAR_WIDTH = 24;
/** Off a terminal a line is written when the detail's first word changes, or after this share of the work. */
const PLAIN_STEP = 0.25;

/** Starts the line. `moving` redraws in place; otherwise lines are only added, at most five per stage. */
export function createProgress(label: string, options: { sink: Sink; moving: boolean; silent: boolean }): Progress {
  const { sink, moving, silent } = options;
  let ended = false;
  let stage = '';
  let shown = 0;

  const draw = (detail: string, fraction: number | undefined): void => {
    const bar =
      fraction === undefined ? '' : `${bar24(fraction)} ${String(Math.round(fraction * 100)).padStart(3)} %  `;
    const width = sink.columns ?? 100;
    sink.write(`\r\u001b[2K${`${label}  ${bar}${detail}`.slice(0, width - 1)}`);
  };
  const end = (mark: string, text: string): void => {
    if (ended) return;
    ended = true;
    if (silent) return;
    sink.write(`${moving ? '\r\u001b[2K' : ''}${mark} ${label}${text === '' ? '' : `: ${text}`}\n`);
  };
  return {
    update: (detail, fraction) => {
      if (ended || silent) return;
      if (moving) return draw(detail, fraction);
      const word = detail.replaceAll(/[\d.,/%]+/g, '');
      const due = word !== stage || (fraction !== undefined && fraction - shown >= PLAIN_STEP);
      if (!due) return;
      stage = word;
      shown = fraction ?? 0;
      sink.write(
        `  ${label}: ${detail}${fraction === undefined || fraction === 0 ? '' : ` (${Math.round(fraction * 100)} %)`}\n`,
      );
    },
    done: (text = '') => end('✓', text),
    fail: (text = '') => end('✗', text),
    line: (text) => {
      if (silent) return;
      sink.write(`${moving ? '\r\u001b[2K' : ''}${text}\n`);
    },
  };
}

function bar24(fraction: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_WIDTH);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`;
}
