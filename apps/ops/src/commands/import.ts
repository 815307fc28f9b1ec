/** `novax import <folder>`: Markdown files as documents. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { InvalidArgumentError, type Command } from '@commander-js/extra-typings';
import { createNovaxClient, type NovaxClient } from '@novax/client/client';
import { CommandFailure, UsageFailure, examples, type CommandContext } from '../cli/command.ts';
import { humanDuration } from '../cli/output.ts';
import { demoAccount } from '../demo/account.ts';
import { markdownFiles } from '../import/files.ts';
import { importFiles } from '../import/import.ts';
import { currentState } from '../supervisor/attach.ts';

interface Target {
  readonly client: NovaxClient;
  readonly projectId: string;
}

export function register(command: Command, context: () => CommandContext): void {
  command
    .argument('<folder>', 'folder whose .md files become documents, titled by their path')
    .option('--project <id>', 'project to import into (default: the demonstration’s)')
    .option('--url <url>', 'API to import through (default: the running local stack)')
    .option('--concurrency <count>', 'requests at one time', concurrency, 4)
    .addHelpText(
      'after',
      `${examples('npx novax import ./docs', 'NOVAX_EMAIL=you@example.com NOVAX_PASSWORD=… npx novax import ./docs --url https://api.example.com --project 0190…')}
Importing again adds only files whose path the project has not.
`,
    )
    .action(async (folder, options) => {
      const { out, signal } = context();
      const from = resolve(folder);
      const isFolder = await stat(from).then(
        (it) => it.isDirectory(),
        () => false,
      );
      if (!isFolder) throw new UsageFailure(`${from} is not a folder`);
      const { taken, tooLarge } = await markdownFiles(from);
      for (const file of tooLarge)
        out.note(`left out: ${file.title} is larger than a document can be (${file.bytes} bytes)`);
      if (taken.length === 0) throw new CommandFailure(`no Markdown files in ${from}`);
      const { client, projectId } = await target(context(), options);
      const bar = out.progress('import');
      const started = performance.now();
      const result = await importFiles({
        client,
        projectId,
        files: taken,
        concurrency: options.concurrency,
        signal,
        onProgress: (done, total) => bar.update(`${done}/${total} documents`, done / total),
        onWait: (reason) => bar.line(`  waiting for the API: ${reason}`),
      });
      bar.done(
        `${result.created} imported, ${result.present} were there already, in ${humanDuration(performance.now() - started)}`,
      );
      for (const { title, reason } of result.refused) out.note(`refused: ${title}: ${reason}`);
      out.json({ projectId, ...result });
      if (result.refused.length > 0) throw new CommandFailure(`${result.refused.length} files were refused`);
    });
}

async function target(
  context: CommandContext,
  options: { readonly url?: string | undefined; readonly project?: string | undefined },
): Promise<Target> {
  const current = await currentState(context.dir);
  const url = options.url ?? (current?.alive === true ? current.state.urls['api'] : undefined);
  if (url === undefined)
    throw new CommandFailure('nothing is running here', { hint: 'npx novax up, or name an API with --url' });
  const { NOVAX_EMAIL: email, NOVAX_PASSWORD: password } = context.env;
  if (email !== undefined && password !== undefined) {
    if (options.project === undefined) throw new UsageFailure('--project is needed with an account of your own');
    const client = createNovaxClient({ url });
    await client.session.login({ email, password });
    return { client, projectId: options.project };
  }
  if (options.url !== undefined) throw new UsageFailure('set NOVAX_EMAIL and NOVAX_PASSWORD to sign in there');
  const account = await demoAccount({ url, dir: context.dir });
  return { client: account.client, projectId: options.project ?? account.projectId };
}

function concurrency(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 32)
    throw new InvalidArgumentError('a whole number from 1 to 32');
  return value;
}
