/** `novax doctor`: checks everything there is and names the mend of what is wrong. */
import type { Command } from '@commander-js/extra-typings';
import { redactEnv } from '@novax/runtime/env';
import type { CommandContext } from '../cli/command.ts';
import { CommandFailure, examples } from '../cli/command.ts';
import { reasonOf } from '../database/connect.ts';
import { readSettings, SETTING_NAMES } from '../database/settings.ts';
import type { Settings } from '../database/settings.ts';
import type { Finding } from '../doctor/check.ts';
import { fail, runChecks } from '../doctor/check.ts';
import { repairs } from '../doctor/repairs.ts';
import { checksFor } from '../doctor/examine.ts';

export function register(command: Command, context: () => CommandContext): void {
  command
    .option('--repair', 'first make and mend streams and consumers, which loses nothing they hold')
    .option('--env', 'print the settings too, secrets blanked')
    .addHelpText(
      'after',
      `\nExit code 1 when a check fails; warnings leave it 0.\n${examples('npx novax doctor', 'npx novax doctor --repair', 'npx novax doctor --env', 'npx novax doctor -o json')}`,
    )
    .action(async ({ env = false, repair = false }) => doctor(context(), { showEnv: env, repair }));
}

async function doctor(
  context: CommandContext,
  { showEnv, repair }: { showEnv: boolean; repair: boolean },
): Promise<void> {
  const { out } = context;
  const { settings, findings } = await examine(context, repair);
  const shown = settings === undefined ? {} : redacted(settings);
  const failed = findings.filter(({ status }) => status === 'fail').length;
  const warned = findings.filter(({ status }) => status === 'warn').length;
  out.json({
    healthy: failed === 0,
    source: settings?.source ?? null,
    ok: findings.length - failed - warned,
    warnings: warned,
    failures: failed,
    findings,
    ...(showEnv ? { env: shown } : {}),
  });
  if (showEnv) {
    out.table(['SETTING', 'VALUE'], Object.entries(shown));
    out.line(`from the ${settings?.source ?? 'environment, which cannot be read'}\n`);
  }
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { status, name, found, mend } of findings) {
    const mark = { ok: out.colors.green('ok  '), warn: out.colors.yellow('warn'), fail: out.colors.red('FAIL') }[
      status
    ];
    out.line(
      `${mark}  ${name.padEnd(width)}  ${found.replaceAll('\n', ' ')}${mend === undefined ? '' : `  → ${mend}`}`,
    );
  }
  out.line(`\n${findings.length - failed - warned} ok, ${warned} warnings, ${failed} failures`);
  if (failed > 0) throw new CommandFailure(`${failed} checks failed`, { quiet: true });
}

async function examine(
  context: CommandContext,
  repair: boolean,
): Promise<{ settings: Settings | undefined; findings: Finding[] }> {
  let settings: Settings | undefined;
  try {
    settings = await readSettings(context);
    const repaired = repair ? await repairs(settings) : [];
    return { settings, findings: [...repaired, ...(await runChecks(await checksFor(context, settings)))] };
  } catch (error) {
    return { settings, findings: [fail('settings', reasonOf(error), 'correct them in the environment')] };
  }
}

function redacted({ values }: Settings): Record<string, string> {
  return { ...Object.fromEntries(SETTING_NAMES.map((name) => [name, '(not set)'])), ...redactEnv(values) };
}
