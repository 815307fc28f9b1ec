/** `novax reset`: deletes the data of the local stack. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { confirm, isCancel } from '@clack/prompts';
import type { Command } from '@commander-js/extra-typings';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples, UsageFailure } from '../cli/command.ts';
import { chooseDriver, driverByName } from '../stack/choose.ts';
import { configPath } from '../stack/config.ts';
import type { StackContext } from '../stack/driver.ts';
import { stopEverything } from '../supervisor/attach.ts';
import { readState } from '../supervisor/state.ts';

export function register(command: Command, context: () => CommandContext): void {
  command
    .option('-y, --yes', 'do not ask')
    .option('--all', 'also delete what would be made again at the next start: the Debian root, images, caches')
    .addHelpText(
      'after',
      `\nStops the stack first. Everything stored in it is lost.\n${examples('npx novax reset', 'npx novax reset --yes --all')}`,
    )
    .action(async ({ yes = false, all = false }) => reset(context(), { yes, all }));
}

async function reset(context: CommandContext, options: { yes: boolean; all: boolean }): Promise<void> {
  const { dir, out } = context;
  const stack = readState(dir)?.stack;
  const stackContext: StackContext = { ...context, durable: true, log: { line: out.note, progress: () => undefined } };
  const driver = stack ? await driverByName(stack) : (await chooseDriver(stackContext)).driver;
  const what = `all data under ${join(dir, 'data')}: database, queues, events, files${options.all ? `, ports and secrets, the servers' programs and caches` : ''}`;
  if (!options.yes) {
    if (!out.interactive || !process.stdin.isTTY)
      throw new UsageFailure(`this deletes ${what}`, { hint: 'to do it without being asked: npx novax reset --yes' });
    const answer = await confirm({ message: `Delete ${what}?`, initialValue: false });
    if (isCancel(answer) || !answer) throw new CommandFailure('nothing was deleted');
  }
  await stopEverything(dir, () => undefined);
  const deleted = await driver.reset(stackContext, { all: options.all });
  if (options.all) {
    for (const path of [configPath(dir), join(dir, 'cache')]) {
      if (!existsSync(path)) continue;
      await rm(path, { recursive: true, force: true });
      deleted.push(path);
    }
  }
  out.json({ deleted });
  for (const path of deleted) out.line(`deleted ${path}`);
  if (deleted.length === 0) out.line('there was nothing to delete');
}
