/** Things made through the typed client, with as little said as the contract allows. */
import type { NovaxClient } from '@novax/client/client';
import { unique } from './actors.ts';

type Input<P extends { mutate: (input: never) => unknown }> = Parameters<P['mutate']>[0];

/** An organization owned by the caller. */
export function makeOrganization(
  client: NovaxClient,
  changes: Partial<Input<NovaxClient['organizations']['create']>> = {},
) {
  const slug = unique('org');
  return client.organizations.create.mutate({ name: `Organization ${slug}`, slug, ...changes });
}

/** A project. */
export function makeProject(
  client: NovaxClient,
  input: Partial<Input<NovaxClient['projects']['create']>> & { organizationId: string },
) {
  return client.projects.create.mutate({ name: unique('project'), ...input });
}

/** A document. */
export function makeDocument(
  client: NovaxClient,
  input: Partial<Input<NovaxClient['documents']['create']>> & { projectId: string },
) {
  return client.documents.create.mutate({
    title: unique('Document '),
    content: 'Plain words about nothing in particular.',
    ...input,
  });
}
