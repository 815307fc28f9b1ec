/** `novax up`: starts the stack in the background and returns when it is ready. */
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { chooseDriver } from '../stack/choose.ts';
import type { StackContext } from '../stack/driver.ts';
import { livingSupervisor, startDaemon, waitUntilReady } from '../supervisor/attach.ts';
import type { StackState } from '../supervisor/state.ts';
import { printStatus, statusDocument } from './status.ts';

export function register(command: Command, context: () => CommandContext): void {
  command
    .option('--servers', 'start the servers and migrate, without API and workers')
    .addHelpText('after', examples('npx novax up', 'npx novax up --servers', 'NOVAX_STACK=docker npx novax up'))
    .action(async ({ servers = false }) => up(context(), servers));
}

/** Prepares in this process, where progress can be seen, then leaves the work to a supervisor of its own. A stack that runs is joined. */
async function up(context: CommandContext, serversOnly: boolean): Promise<void> {
  const { dir, env, out, signal } = context;
  const began = Date.now();
  const running = await livingSupervisor(dir);
  if (running) out.note(`the stack is running already (supervisor process ${running.pid})`);
  else await prepare(context);
  const daemon = running ? undefined : startDaemon({ checkout: context.checkout, dir, env, serversOnly });
  const progress = out.progress('stack');
  let said = 0;
  let state: StackState;
  try {
    state = await waitUntilReady({
      dir,
      signal,
      onChange: ({ last, progress: share, notes }) => {
        for (const note of notes.slice(said)) progress.line(`  ${note}`);
        said = notes.length;
        if (!notes.includes(last)) progress.update(last, share);
      },
      ...(daemon ? { exited: daemon.exited } : {}),
    });
  } catch (error) {
    progress.fail();
    if (signal.aborted) throw error;
    throw new CommandFailure(error instanceof Error ? error.message : String(error), {
      hint: 'see: npx novax logs supervisor',
      cause: error,
    });
  }
  progress.done(`everything is ready after ${humanDuration(Date.now() - began)}`);
  if (state.serversOnly && !serversOnly)
    out.note('only the servers run; for API and workers: npx novax down && npx novax up');
  out.json(statusDocument({ alive: true, state }));
  printStatus(out, { alive: true, state });
}

async function prepare({ checkout, dir, env, out, signal }: CommandContext): Promise<void> {
  const progress = out.progress('servers');
  let worked = false;
  const context: StackContext = {
    checkout,
    dir,
    env,
    durable: true,
    signal,
    log: {
      line: (text) => progress.line(text),
      progress: (label, fraction) => {
        worked = true;
        progress.update(label, fraction);
      },
    },
  };
  try {
    const { driver } = await chooseDriver(context);
    await driver.prepare(context);
    if (worked) progress.done('prepared');
  } catch (error) {
    progress.fail('could not be prepared');
    throw new CommandFailure(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
