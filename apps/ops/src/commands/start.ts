/** `novax start`, which `npm start` runs: everything in the foreground, then the demonstration. */
import { InvalidArgumentError, type Command } from '@commander-js/extra-typings';
import { CommandFailure, examples, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { demonstrate } from '../demo/demonstration.ts';
import { printDemonstration, printPlaces } from '../demo/report.ts';
import { readEndpoints } from '../stack/endpoints.ts';
import { livingSupervisor, waitUntilReady } from '../supervisor/attach.ts';
import { describeEvent } from '../supervisor/events.ts';
import { runStack } from '../supervisor/run-stack.ts';

export function register(command: Command, context: () => CommandContext): void {
  command
    .option('--once', 'stop and exit 0 after the demonstration')
    .option('--documents <count>', 'how many package READMEs to import', positive, 240)
    .addHelpText('after', examples('npm start', 'npm start -- --once', 'npm start -- --documents 300'))
    .action(async ({ once = false, documents }) => {
      const running = await livingSupervisor(context().dir);
      if (running) await demonstrateBeside(context(), documents);
      else await start(context(), { once, documents });
    });
}

async function start(context: CommandContext, options: { once: boolean; documents: number }): Promise<void> {
  const { out, dir, env, checkout, signal } = context;
  const began = performance.now();
  const bar = out.progress('start');
  let ready = false;
  const stack = await runStack({
    context: {
      checkout,
      dir,
      env,
      durable: true,
      signal,
      log: { line: (text) => bar.line(`  ${text}`), progress: (label, fraction) => bar.update(label, fraction) },
    },
    serversOnly: false,
    mode: 'foreground',
    onEvent: (event) => {
      if (ready) out.note(describeEvent(event));
      else if (event.type === 'note') bar.line(`  ${describeEvent(event)}`);
      else bar.update(describeEvent(event));
    },
  }).catch((thrown: unknown) => {
    bar.fail();
    // What was stopped on the way says so in its own words; the reason is that somebody asked.
    signal.throwIfAborted();
    throw new CommandFailure(thrown instanceof Error ? thrown.message : String(thrown), {
      hint: 'see: npx novax logs, npx novax doctor',
      cause: thrown,
    });
  });
  ready = true;
  bar.done(`everything is ready after ${humanDuration(performance.now() - began)}`);
  try {
    const backupUrl = stack.endpoints.DATABASE_BACKUP_URL;
    if (backupUrl === undefined)
      throw new CommandFailure('DATABASE_BACKUP_URL is not set, so the demonstration cannot count what happened');
    const result = await demonstrate(context, { apiUrl: stack.apiUrl, backupUrl, documents: options.documents });
    printDemonstration(out, result);
    printPlaces(out, stack.state().urls, result);
    out.json({ ...result, urls: stack.state().urls });
    if (!options.once) {
      out.line(`\nEverything stays up. Ctrl-C stops it.`);
      const reason = await stack.done;
      if (reason) throw new CommandFailure(reason.message, { hint: 'see: npx novax logs' });
    }
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    if (!signal.aborted) out.note('stopping');
    await stack.stop();
  }
}

/** The stack runs already, started by `novax up`: show what it does and leave it as it is. */
async function demonstrateBeside(context: CommandContext, documents: number): Promise<void> {
  const { out, dir, signal } = context;
  out.note('the stack is running already; using it, and leaving it running');
  const state = await waitUntilReady({ dir, signal, onChange: () => undefined });
  const endpoints = await readEndpoints(dir);
  const apiUrl = state.urls['api'];
  if (apiUrl === undefined || endpoints?.DATABASE_BACKUP_URL === undefined) {
    throw new CommandFailure('only the servers run', { hint: 'npx novax down && npm start' });
  }
  const result = await demonstrate(context, { apiUrl, backupUrl: endpoints.DATABASE_BACKUP_URL, documents });
  printDemonstration(out, result);
  printPlaces(out, state.urls, result);
  out.json({ ...result, urls: state.urls });
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0');
  return value;
}
