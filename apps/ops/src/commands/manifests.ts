/** `novax manifests`: the Kubernetes objects of a deployment. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from '@commander-js/extra-typings';
import { ConfigError, parseConfig } from '@novax/cdk8s/config';
import type { DeploymentConfig } from '@novax/cdk8s/config';
import { PROFILES, environmentFile, isProfile } from '@novax/cdk8s/profiles';
import { RULES, lintManifests } from '@novax/cdk8s/lint/lint';
import { requiredSecrets } from '@novax/cdk8s/secrets';
import { manifestStream, renderManifests } from '@novax/cdk8s/synth';
import type { RenderedFile } from '@novax/cdk8s/synth';
import { CommandFailure, UsageFailure, examples } from '../cli/command.ts';
import type { CommandContext } from '../cli/command.ts';

interface RenderOptions {
  profile?: string | undefined;
  config?: string | undefined;
  out?: string | undefined;
}

/** Adds `render` and `lint`. */
export function register(command: Command, context: () => CommandContext): void {
  command
    .command('render')
    .summary('print the Kubernetes objects of a profile')
    .description(
      'Prints the Kubernetes objects of a profile as YAML in the order of application (-o json: one List). Secrets are named, never rendered.',
    )
    .option('--profile <name>', `which shipped configuration to render (${PROFILES.join(', ')}; default small)`)
    .option('--config <file>', 'a configuration file of your own, YAML or JSON, in place of the shipped one')
    .option('--out <dir>', 'write one YAML file per step into this folder instead of printing them')
    .addHelpText(
      'after',
      examples(
        'novax manifests render | kubectl apply --server-side -f -',
        'novax manifests render --config production.yaml --out rendered',
        'novax manifests render -o json',
      ),
    )
    .action((options) => render(options, context()));
  command
    .command('lint')
    .summary('judge the Kubernetes objects of a profile by every rule')
    .option('--profile <name>', `which shipped configuration to judge (${PROFILES.join(', ')}; default small)`)
    .option('--config <file>', 'a configuration file of your own, YAML or JSON, in place of the shipped one')
    .addHelpText('after', examples('novax manifests lint', 'novax manifests lint --config production.yaml -o json'))
    .action((options) => lint(options, context()));
}

/** Renders to standard output or into `--out`; the summary and the Secrets to create go to standard error. */
async function render(options: RenderOptions, { out }: CommandContext): Promise<void> {
  const config = await loadDeploymentConfig(options);
  const files = renderManifests(config);
  const objects = files.flatMap((file) => file.objects);
  if (options.out !== undefined) {
    await writeFiles(options.out, files);
    out.json({
      folder: options.out,
      files: files.map((file) => ({ file: file.name, objects: file.objects.length })),
      secrets: requiredSecrets(config),
    });
    out.table(
      ['FILE', 'OBJECTS'],
      files.map((file) => [file.name, String(file.objects.length)]),
    );
  } else {
    out.json({ apiVersion: 'v1', kind: 'List', items: objects });
    out.line(manifestStream(files).trimEnd());
  }
  for (const line of summary(config, objects.length)) out.note(line);
}

/** Prints every violation; fails when there is one. */
async function lint(options: Pick<RenderOptions, 'profile' | 'config'>, { out }: CommandContext): Promise<void> {
  const config = await loadDeploymentConfig(options);
  const objects = renderManifests(config).flatMap((file) => file.objects);
  const findings = lintManifests(objects, config);
  out.json({ objects: objects.length, rules: RULES.length, findings });
  if (findings.length > 0)
    out.table(
      ['RULE', 'FINDING'],
      findings.map(({ rule, finding }) => [rule, finding]),
    );
  out.line(`${objects.length} objects, ${RULES.length} rules, ${findings.length} findings`);
  if (findings.length > 0) throw new CommandFailure(`${findings.length} rules are violated`);
}

/**
 * The configuration that `--profile` and `--config` name. Throws `UsageFailure` for a profile that cannot be rendered,
 * `CommandFailure` for a file that cannot be read or whose content is wrong, with every problem of it.
 */
export async function loadDeploymentConfig(
  options: Pick<RenderOptions, 'profile' | 'config'>,
): Promise<DeploymentConfig> {
  const profile = options.profile ?? 'small';
  if (!isProfile(profile)) {
    throw new UsageFailure(`there is no profile "${profile}"`, {
      hint: `Profiles that can be rendered: ${PROFILES.join(', ')}.`,
    });
  }
  const path = options.config === undefined ? environmentFile(profile) : resolve(options.config);
  return checked(path, await readYaml(path));
}

function checked(path: string, value: unknown): DeploymentConfig {
  try {
    return parseConfig(value);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CommandFailure(`${path}: ${cause.message}`, {
      cause,
      hint: 'infra/cdk8s/README.md describes every field.',
    });
  }
}

async function readYaml(path: string): Promise<unknown> {
  // Loaded here because it is large and no other verb that renders nothing needs it.
  const { loadYaml } = await import('@kubernetes/client-node');
  try {
    return loadYaml<unknown>(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new CommandFailure(`cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

async function writeFiles(folder: string, files: readonly RenderedFile[]): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const file of files) await writeFile(join(folder, file.name), file.yaml);
  } catch (cause) {
    throw new CommandFailure(`cannot write into ${folder}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

function summary(config: DeploymentConfig, count: number): string[] {
  const secrets = Map.groupBy(requiredSecrets(config), ({ secret }) => secret);
  return [
    `${count} objects of release ${config.release}, profile ${config.profile}, for namespace ${config.namespace}.`,
    'Create these Secrets in it first:',
    ...[...secrets].map(([secret, keys]) => `  ${secret}: ${keys.map(({ key }) => key).join(', ')}`),
  ];
}
