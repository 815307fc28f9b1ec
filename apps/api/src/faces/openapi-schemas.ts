/** JSON Schemas for the OpenAPI document: what callers need of a zod schema, with shared shapes as components. */
import { aiContextSchema, aiSummarySchema } from '@novax/contracts/ai-metadata';
import { documentListItem, documentView } from '@novax/contracts/api/documents';
import { organizationView } from '@novax/contracts/api/organizations';
import { projectView } from '@novax/contracts/api/projects';
import { searchHit } from '@novax/contracts/api/search';
import { errorTable } from '@novax/contracts/errors';
import { z } from 'zod';

export type JsonSchema = Record<string, unknown>;
type Direction = 'input' | 'output';

/** Shapes that deserve a name, inner ones first so that outer ones refer to them. */
const named: readonly (readonly [string, z.ZodType, Direction])[] = [
  ['AiContext', aiContextSchema, 'input'],
  ['AiSummary', aiSummarySchema, 'output'],
  ['Document', documentView, 'output'],
  ['DocumentListItem', documentListItem, 'output'],
  ['Organization', organizationView, 'output'],
  ['Project', projectView, 'output'],
  ['SearchHit', searchHit, 'output'],
];

const problem: JsonSchema = {
  type: 'object',
  description: 'An error, as RFC 9457 has it.',
  properties: {
    type: { type: 'string', const: 'about:blank' },
    title: { type: 'string', description: 'One sentence that may be shown to people.' },
    status: { type: 'integer', description: 'The HTTP status again.' },
    code: { type: 'string', enum: Object.keys(errorTable), description: 'What happened; programs decide by this.' },
    retryable: { type: 'boolean', description: 'True when the same call may succeed later without a change.' },
    requestId: {
      type: 'string',
      description: 'Finds the call in the server’s log; also in the `x-request-id` header.',
    },
    issues: {
      type: 'array',
      description: 'Only with VALIDATION_FAILED: what is wrong with the input.',
      items: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'Dotted path into the input, empty for the whole.' },
          message: { type: 'string' },
        },
        required: ['path', 'message'],
      },
    },
  },
  required: ['title', 'status', 'code', 'retryable', 'requestId'],
};

export interface SchemaBook {
  /** Everything `#/components/schemas/…` refers to. */
  readonly components: Record<string, JsonSchema>;
  /** One schema, with references where a component has the same shape. */
  schemaOf(schema: z.ZodType, direction: Direction): JsonSchema;
}

/** Makes the components and the function that refers to them. */
export function createSchemaBook(): SchemaBook {
  const components: Record<string, JsonSchema> = { Problem: problem };
  /** Component names by the text of their shape. */
  const names = new Map<string, string>();

  function share(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(share);
    if (typeof value !== 'object' || value === null) return value;
    const inner = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, share(part)]));
    const { description, ...shape } = inner;
    const name = names.get(JSON.stringify(shape));
    if (name === undefined) return inner;
    // 3.1 lets words stand beside a reference.
    return { $ref: `#/components/schemas/${name}`, ...(description === undefined ? {} : { description }) };
  }

  function convert(schema: z.ZodType, io: Direction): JsonSchema {
    const {
      $schema: _dialect,
      $defs = {},
      ...body
    } = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => simplify(jsonSchema) });
    // Only recursive shapes come as definitions; equal ones become one component.
    const renamed = new Map(
      Object.entries($defs).map(([local, definition]) => [`#/$defs/${local}`, define(local, definition)]),
    );
    return relink(body, renamed) as JsonSchema; // relinking an object gives an object
  }

  function define(local: string, definition: JsonSchema): string {
    const text = JSON.stringify(definition).replaceAll(`#/$defs/${local}`, '#');
    const known = names.get(text);
    if (known !== undefined) return `#/components/schemas/${known}`;
    const name = names.has('recursive') ? `Recursive${names.size}` : 'Json';
    names.set('recursive', name).set(text, name);
    const ref = `#/components/schemas/${name}`;
    components[name] = {
      description: name === 'Json' ? 'Any JSON value.' : 'A nested value.',
      // Relinking an object gives an object.
      ...(relink(definition, new Map([[`#/$defs/${local}`, ref]])) as JsonSchema),
    };
    return ref;
  }

  const schemaOf = (schema: z.ZodType, direction: Direction): JsonSchema =>
    share(convert(schema, direction)) as JsonSchema; // an object stays one
  for (const [name, schema, direction] of named) {
    const converted = schemaOf(schema, direction);
    const { description: _description, ...shape } = converted;
    names.set(JSON.stringify(shape), name);
    components[name] = converted;
  }
  return { components, schemaOf };
}

/** Drops what a format already says, bounds that only mean "integer", and the promise of no further fields: answers grow by addition. */
function simplify(schema: JsonSchema): void {
  if (schema['format'] !== undefined) delete schema['pattern'];
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum'];
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum'];
  if (schema['additionalProperties'] === false) delete schema['additionalProperties'];
}

function relink(value: unknown, renamed: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => relink(item, renamed));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === '$ref' && typeof part === 'string' ? (renamed.get(part) ?? part) : relink(part, renamed),
    ]),
  );
}
