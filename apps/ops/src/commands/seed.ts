/** `novax seed`: an organization to play with, in the running local stack. */
import type { Command } from '@commander-js/extra-typings';
import { CommandFailure, examples, type CommandContext } from '../cli/command.ts';
import { demoAccount } from '../demo/account.ts';
import { currentState } from '../supervisor/attach.ts';

const documents = [
  {
    title: 'Welcome',
    content:
      '# Welcome\n\nThis organization was made by `novax seed`. Its documents are searchable by words and by meaning.\n\nTry: “how do we answer customers who are unhappy?”',
  },
  {
    title: 'Handling complaints',
    content:
      '# Handling complaints\n\nThank the customer, say what went wrong, and say what happens next and by when. Refund first, investigate after. Every complaint gets a named person.',
  },
  {
    title: 'Release checklist',
    content:
      '# Release checklist\n\n1. Migrations reviewed and reversible.\n2. Backups verified this week.\n3. The on-call person knows.\n4. Feature flags off by default.',
  },
];

export function register(command: Command, context: () => CommandContext): void {
  command.addHelpText('after', examples('npx novax seed')).action(async () => {
    const { out, dir } = context();
    const current = await currentState(dir);
    const url = current?.alive === true ? current.state.urls['api'] : undefined;
    if (url === undefined) throw new CommandFailure('nothing is running here', { hint: 'npx novax up' });
    const account = await demoAccount({ url, dir });
    const { items } = await account.client.documents.list.query({ projectId: account.projectId, limit: 100 });
    const present = new Set(items.map((item) => item.title));
    let created = 0;
    for (const document of documents) {
      if (present.has(document.title)) continue;
      await account.client.documents.create.mutate({ projectId: account.projectId, ...document });
      created += 1;
    }
    out.line(`${created} documents made, ${documents.length - created} were there already.`);
    out.table(
      ['what', ''],
      [
        ['organization', account.organizationId],
        ['project', account.projectId],
        ['account', account.email],
        ['password in', account.file],
      ],
    );
    out.json({
      created,
      organizationId: account.organizationId,
      projectId: account.projectId,
      email: account.email,
      passwordFile: account.file,
    });
  });
}
