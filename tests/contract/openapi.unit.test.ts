/** The OpenAPI document says what the contract says, and holds together by itself. */
import { openApiDocument } from '@novax/api/faces/openapi';
import { contract } from '@novax/contracts/api/contract';
import { errorTable } from '@novax/contracts/errors';
import { commonErrors, type Row } from '@novax/contracts/procedure';
import { expect, test } from 'vitest';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly schema: Record<string, unknown>;
}
interface BodySchema {
  readonly properties: Record<string, unknown>;
  readonly required?: readonly string[];
}
interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly security: readonly unknown[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Record<string, { readonly schema: BodySchema }>;
  };
  readonly responses: Record<
    string,
    { readonly $ref?: string; readonly content?: Record<string, { readonly schema: Record<string, unknown> }> }
  >;
}

const document = openApiDocument();
// The document is JSON of the shape OpenAPI gives it; the tests below would fail on another.
const paths = document['paths'] as Record<string, Record<string, Operation>>;
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
const features: Record<string, Record<string, Row>> = contract;
const rows = Object.entries(features).flatMap(([feature, verbs]) =>
  Object.entries(verbs).flatMap(([verb, row]) =>
    row.rest === undefined ? [] : [{ id: `${feature}_${verb}`, feature, row, rest: row.rest }],
  ),
);

function resolve(ref: string): unknown {
  expect(ref.startsWith('#/'), ref).toBe(true);
  // Each step of a JSON pointer enters an object.
  return ref
    .slice(2)
    .split('/')
    .reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
}

function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === '$ref' && typeof part === 'string' ? [part] : refsIn(part),
  );
}

test('every REST row of the contract is there once, and nothing else', () => {
  const written = operations.map(
    ({ path, method, operation }) => `${operation.operationId} ${method.toUpperCase()} ${path}`,
  );
  const declared = rows.map(({ id, rest }) => `${id} ${rest.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(written.toSorted()).toEqual(declared.toSorted());
  expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
});

test('every reference resolves, and every component is referred to', () => {
  const refs = new Set(refsIn(document));
  for (const ref of refs) expect(resolve(ref), ref).toBeTypeOf('object');
  for (const kind of ['schemas', 'responses']) {
    for (const name of Object.keys(resolve(`#/components/${kind}`) ?? {}))
      expect(refs).toContain(`#/components/${kind}/${name}`);
  }
});

test('the document is JSON: no value is lost on the way to a reader', () => {
  expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  expect(JSON.stringify(document)).not.toContain('$defs');
  expect(JSON.stringify(document)).not.toContain('"$schema"');
});

test('it is made once', () => {
  expect(openApiDocument()).toBe(document);
});

for (const { id, feature, row, rest } of rows) {
  const found = operations.find(({ operation }) => operation.operationId === id);

  test(`${id} asks for each field of its input once, in the right place`, () => {
    const operation = found?.operation;
    const parameters = operation?.parameters ?? [];
    const inPath = parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name);
    expect(inPath).toEqual([...rest.matchAll(/:(\w+)/g)].map((match) => match[1]));
    for (const parameter of parameters) {
      if (parameter.in === 'path') expect(parameter.required).toBe(true);
      expect(Object.keys(parameter.schema), parameter.name).not.toHaveLength(0);
    }
    const body = operation?.requestBody?.content['application/json']?.schema;
    const asked = [...parameters.map((parameter) => parameter.name), ...Object.keys(body?.properties ?? {})];
    // Inputs are objects.
    const { shape } = row.input as unknown as {
      shape: Record<string, { safeParse: (value: unknown) => { success: boolean } }>;
    };
    expect(asked.toSorted()).toEqual(Object.keys(shape).toSorted());
    const required = [
      ...parameters.filter((parameter) => parameter.required).map((parameter) => parameter.name),
      ...(body?.required ?? []),
    ];
    expect(required.toSorted()).toEqual(
      Object.entries(shape)
        .filter(([, field]) => !field.safeParse(undefined).success)
        .map(([name]) => name)
        .toSorted(),
    );
    if (/^(GET|DELETE)/.test(rest)) expect(operation?.requestBody).toBeUndefined();
    else expect(parameters.filter((parameter) => parameter.in === 'query')).toEqual([]);
  });

  test(`${id} answers with its own status and every error it can meet`, () => {
    const operation = found?.operation;
    const { [String(row.status ?? 200)]: success, ...failures } = operation?.responses ?? {};
    expect(success?.content?.['application/json']?.schema).toBeTypeOf('object');
    const told = Object.entries(failures).flatMap(([status, response]) => {
      const { content } = resolve(response.$ref ?? '') as {
        content: Record<string, { schema: unknown; examples: Record<string, unknown> }>;
      }; // a component response
      const problem = content['application/problem+json'];
      expect(problem?.schema).toEqual({ $ref: '#/components/schemas/Problem' });
      return Object.keys(problem?.examples ?? {}).map((code) => `${status} ${code}`);
    });
    const owed = [...new Set([...commonErrors, ...row.errors])].map((code) => `${errorTable[code].http} ${code}`);
    expect(told).toEqual(expect.arrayContaining(owed));
  });

  test(`${id} is labelled: feature, sentence, and a token unless it is public`, () => {
    expect(found?.operation).toMatchObject({
      tags: [feature],
      summary: row.summary,
      security: row.scope === 'public' ? [] : [{ bearer: [] }],
    });
  });
}

test('shapes that several operations share are components', () => {
  const schemaAt = (id: string, status: number): unknown =>
    operations.find(({ operation }) => operation.operationId === id)?.operation.responses[status]?.content?.[
      'application/json'
    ]?.schema;
  expect(schemaAt('documents_create', 201)).toEqual({ $ref: '#/components/schemas/Document' });
  expect(schemaAt('documents_get', 200)).toEqual({ $ref: '#/components/schemas/Document' });
  expect(schemaAt('projects_update', 200)).toEqual({ $ref: '#/components/schemas/Project' });
});

test('the problem schema lists exactly the codes of the error table', () => {
  expect(resolve('#/components/schemas/Problem/properties/code/enum')).toEqual(Object.keys(errorTable));
});

test('the search alias of the document list is told', () => {
  expect(paths['/documents']?.['get']?.description).toContain('`?q=`');
});

test('every answer documents the limit it met', () => {
  const headersOf = (response: unknown): string[] => {
    // A response object of the document, as OpenAPI shapes it.
    const { $ref, headers } = response as { $ref?: string; headers?: Record<string, unknown> };
    return $ref === undefined ? Object.keys(headers ?? {}) : headersOf(resolve($ref));
  };
  for (const { path, operation } of operations) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const wanted = ['x-request-id', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'];
      expect(headersOf(response), `${path} ${status}`).toEqual(expect.arrayContaining(wanted));
    }
  }
});
