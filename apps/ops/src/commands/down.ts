/** `novax down`: stops everything, from any state. */
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { examples } from '../cli/command.ts';
import { driverByName } from '../stack/choose.ts';
import { stopEverything } from '../supervisor/attach.ts';
import { readState } from '../supervisor/state.ts';

export function register(command: Command, context: () => CommandContext): void {
  command
    .addHelpText('after', `\nData stays. Safe to repeat.\n${examples('npx novax down')}`)
    .action(async () => down(context()));
}

async function down(context: CommandContext): Promise<void> {
  const { dir, out } = context;
  const progress = out.progress('stopping');
  const state = readState(dir);
  const stopped = await stopEverything(dir, (text) => progress.update(text));
  // A killed supervisor could not stop its containers.
  if (state?.stack === 'docker' && state.phase !== 'stopped') {
    const driver = await driverByName('docker');
    const log = {
      line: (text: string): void => progress.line(text),
      progress: (label: string): void => progress.update(label),
    };
    const plan = await driver.plan({ ...context, durable: true, log });
    await plan.stop();
    stopped.push('containers');
  }
  progress.done(stopped.length === 0 ? 'nothing was running' : 'everything is stopped');
  out.json({ stopped });
}
