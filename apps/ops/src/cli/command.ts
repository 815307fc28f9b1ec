/** The shape of one verb of the `novax` command. */
import type { Command } from '@commander-js/extra-typings';
import type { Output } from './output.ts';

/** What a verb's action may use; made once per run, before the action. */
export interface CommandContext {
  /** Folder of the checkout. */
  checkout: string;
  /** State folder of the local stack: `<checkout>/.novax`. */
  dir: string;
  /** The environment, read once in `env.ts`. */
  env: Readonly<Record<string, string | undefined>>;
  /** Standard output in the format asked for, and progress. */
  out: Output;
  /** Aborted by the first SIGINT or SIGTERM. */
  signal: AbortSignal;
}

/**
 * What `commands/<verb>.ts` exports. `command` comes with its name, summary and `-o, --output table|json` set (subcommands get
 * `-o` too, after `register` returns); add arguments, options, subcommands, `addHelpText('after', examples(…))` and actions.
 * Call `context()` inside an action only. To fail: throw `CommandFailure` (exit 1) or `UsageFailure` (exit 2); return to exit 0.
 */
export interface CommandModule {
  register(command: Command, context: () => CommandContext): void;
}

/** A failure that was foreseen: its message is for people and is printed without a stack. Exit code 1. */
export class CommandFailure extends Error {
  override readonly name: string = 'CommandFailure';
  readonly exitCode: 1 | 2 = 1;
  /** One line saying what to do about it. */
  readonly hint: string | undefined;
  /** True when the output has said everything and only the exit code is left to tell. */
  readonly quiet: boolean;

  constructor(message: string, options: { hint?: string; cause?: unknown; quiet?: boolean } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.hint = options.hint;
    this.quiet = options.quiet ?? false;
  }
}

/** The command was called wrongly. Exit code 2. */
export class UsageFailure extends CommandFailure {
  override readonly name = 'UsageFailure';
  override readonly exitCode = 2;
}

/** The examples block that every verb's help ends with. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}
