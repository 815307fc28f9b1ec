/** OpenAPI 3.1 of the REST face, derived from the contract. */
import { contract } from '@novax/contracts/api/contract';
import { errorTable, type ErrorCode } from '@novax/contracts/errors';
import { rateLimits } from '@novax/contracts/limits';
import { permissions } from '@novax/contracts/permissions';
import { commonErrors, type Row } from '@novax/contracts/procedure';
import { createSchemaBook, type JsonSchema, type SchemaBook } from './openapi-schemas.ts';

const tags: Readonly<Record<keyof typeof contract, string>> = {
  auth: 'Sign-up, sign-in and the life of a session.',
  users: 'The signed-in person.',
  organizations: 'The tenants: nothing crosses their borders.',
  members: 'The people of an organization.',
  projects: 'Where documents live.',
  documents: 'Markdown with a version, a summary and a meaning.',
  search: 'By words, by meaning, or both.',
  apiKeys: 'Keys for programs, inside one organization and within their scopes.',
  audit: 'Who did what to what, and the proof that nobody changed the record.',
};

const description = `Every operation here is also a tRPC procedure (\`documents_create\` here is \`documents.create\` there) behind the same checks.
Sign in with \`POST /auth/login\` and send \`Authorization: Bearer <access token>\`. Lists take \`limit\` and \`cursor\` and answer \`items\` and \`nextCursor\`.
Errors are \`application/problem+json\`; programs decide by \`code\`. Ids are UUIDs, times ISO 8601 in UTC. Answers may gain fields.`;

/** `GET /documents` with `q` is search; documented here because a path and method can stand in the document only once. */
const notes: Readonly<Record<string, string>> = {
  documents_list:
    'With `?q=` this is an alias of `GET /search`: it then takes the parameters of that operation (`organizationId`, `q`, `mode`, …) and answers like it.',
};

let built: Record<string, unknown> | undefined;

/** The document; built on first use, then the same object. */
export function openApiDocument(): Record<string, unknown> {
  built ??= build();
  return built;
}

function build(): Record<string, unknown> {
  const book = createSchemaBook();
  const responses: Record<string, JsonSchema> = {};
  const paths: Record<string, Record<string, JsonSchema>> = {};
  const features: Record<string, Record<string, Row>> = contract;
  for (const [feature, rows] of Object.entries(features)) {
    for (const [verb, row] of Object.entries(rows)) {
      if (row.rest === undefined) continue;
      const [method = '', route = ''] = row.rest.split(' ');
      const path = route.replaceAll(/:(\w+)/g, '{$1}');
      const operationId = `${feature}_${verb}`;
      paths[path] = {
        ...paths[path],
        [method.toLowerCase()]: {
          operationId,
          tags: [feature],
          summary: row.summary,
          description: describe(row, notes[operationId]),
          security: row.scope === 'public' ? [] : [{ bearer: [] }],
          ...request(book, row, { method, route }),
          responses: { ...success(book, row), ...failures(row, { method, responses }) },
        },
      };
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'NovaX', version: '1', description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/api/v1' }],
    tags: Object.entries(tags).map(([name, text]) => ({ name, description: text })),
    paths,
    components: {
      schemas: book.components,
      responses,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'An access token of `POST /auth/login`, or an API key.',
        },
      },
    },
  };
}

function describe(row: Row, note: string | undefined): string {
  const limit = `At most ${rateLimits[row.limit]} such calls a minute${row.scope === 'public' ? ' and address' : ''}.`;
  const needs =
    row.needs === undefined ? [] : [`Needs \`${row.needs}\`, which ${listed(permissions[row.needs])} have.`];
  return [...needs, limit, ...(note === undefined ? [] : [note])].join(' ');
}

function listed(roles: readonly string[]): string {
  const last = roles.at(-1) ?? '';
  return roles.length === 1
    ? `${last}s`
    : `${roles
        .slice(0, -1)
        .map((role) => `${role}s`)
        .join(', ')} and ${last}s`;
}

/** Parameters and body: path first, then the rest in the query of GET and DELETE and in the body of the others. */
function request(book: SchemaBook, row: Row, place: { readonly method: string; readonly route: string }): JsonSchema {
  const inPath = new Set([...place.route.matchAll(/:(\w+)/g)].map((match) => match[1] ?? ''));
  const whole = book.schemaOf(row.input, 'input');
  // zod writes this for every object schema.
  const properties = (whole['properties'] ?? {}) as Record<string, JsonSchema>;
  // Likewise, where a field is required.
  const required = new Set((whole['required'] ?? []) as readonly string[]);
  const rest = Object.keys(properties).filter((name) => !inPath.has(name));
  const parameter = (name: string, where: 'path' | 'query'): JsonSchema => {
    const { description: text, ...schema } = properties[name] ?? {};
    return {
      name,
      in: where,
      required: where === 'path' || required.has(name),
      ...(text === undefined ? {} : { description: text }),
      schema,
    };
  };
  const parameters = [...inPath].map((name) => parameter(name, 'path'));
  if (place.method === 'GET' || place.method === 'DELETE')
    return { parameters: [...parameters, ...rest.map((name) => parameter(name, 'query'))] };
  if (rest.length === 0) return { parameters };
  const needed = rest.filter((name) => required.has(name));
  const schema = {
    type: 'object',
    properties: Object.fromEntries(rest.map((name) => [name, properties[name]])),
    ...(needed.length === 0 ? {} : { required: needed }),
  };
  return { parameters, requestBody: { required: needed.length > 0, content: { 'application/json': { schema } } } };
}

const commonHeaders = {
  'x-request-id': { description: 'Names this call in the server’s log.', schema: { type: 'string' } },
  'ratelimit-limit': { description: 'Calls a minute in the tightest limit the call met.', schema: { type: 'integer' } },
  'ratelimit-remaining': { description: 'Calls left in it.', schema: { type: 'integer' } },
  'ratelimit-reset': { description: 'Seconds until it has room for one call more.', schema: { type: 'integer' } },
};

function success(book: SchemaBook, row: Row): JsonSchema {
  const status = row.status ?? 200;
  if (status === 204) return { 204: { description: 'Done.', headers: commonHeaders } };
  const text = status === 201 ? 'Created.' : 'Done.';
  return {
    [status]: {
      description: text,
      headers: commonHeaders,
      content: { 'application/json': { schema: book.schemaOf(row.output, 'output') } },
    },
  };
}

/** One response per status; codes that share one share its component. */
function failures(
  row: Row,
  into: { readonly method: string; readonly responses: Record<string, JsonSchema> },
): JsonSchema {
  const withBody: readonly ErrorCode[] =
    into.method === 'GET' || into.method === 'DELETE' ? [] : ['UNSUPPORTED_MEDIA_TYPE'];
  const byStatus = Map.groupBy(
    new Set<ErrorCode>([...commonErrors, ...row.errors, ...withBody]),
    (code) => errorTable[code].http,
  );
  const answers: JsonSchema = {};
  for (const [status, codes] of [...byStatus].toSorted(([a], [b]) => a - b)) {
    const name = codes.join('_or_');
    into.responses[name] ??= failure(codes);
    answers[status] = { $ref: `#/components/responses/${name}` };
  }
  return answers;
}

function failure(codes: readonly ErrorCode[]): JsonSchema {
  const wait = codes.some((code) => errorTable[code].retryable);
  return {
    description: codes.map((code) => `\`${code}\`: ${errorTable[code].text}`).join(' '),
    headers: {
      ...commonHeaders,
      ...(wait ? { 'retry-after': { description: 'Seconds to wait, when known.', schema: { type: 'integer' } } } : {}),
    },
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.fromEntries(
          codes.map((code) => {
            const { http, retryable, text } = errorTable[code];
            return [
              code,
              {
                value: {
                  type: 'about:blank',
                  title: text,
                  status: http,
                  code,
                  retryable,
                  requestId: '0199d3f2-6c1e-7b60-a1f4-5b6f0c9d2e11',
                },
              },
            ];
          }),
        ),
      },
    },
  };
}
