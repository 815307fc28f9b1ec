/** Invariants of the contract that its types cannot hold. */
import { contract } from '@novax/contracts/api/contract';
import { errorTable, isErrorCode } from '@novax/contracts/errors';
import { aggregateTypes, eventSubject } from '@novax/contracts/events/envelope';
import { events, isEventType } from '@novax/contracts/events/registry';
import { jobId, jobs, queueNames, type JobName } from '@novax/contracts/jobs';
import { rateLimits } from '@novax/contracts/limits';
import { permissions, roleMay, roles } from '@novax/contracts/permissions';
import { commonErrors, type Row } from '@novax/contracts/procedure';
import { TRPC_ERROR_CODES_BY_KEY } from '@trpc/server/rpc';
import { getHTTPStatusCodeFromError } from '@trpc/server/http';
import { TRPCError } from '@trpc/server';
import { expect, test } from 'vitest';
import { z } from 'zod';

const id = '01900000-0000-7000-8000-000000000001';
const features: Record<string, Record<string, Row>> = contract;
const table = Object.entries(features).flatMap(([feature, rows]) =>
  Object.entries(rows).map(([verb, row]) => ({ path: `${feature}.${verb}`, row })),
);

function shapeOf(row: Row): Record<string, z.ZodType> {
  if (!(row.input instanceof z.ZodObject)) throw new Error('an input that is not an object');
  return row.input.shape;
}

/** The least a schema accepts, made from its JSON Schema; enough for any shape of this contract. */
function sample(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const root = z.toJSONSchema(schema, { io });
  const make = (node: z.core.JSONSchema._JSONSchema): unknown => {
    if (typeof node === 'boolean') return null;
    if (node.const !== undefined) return node.const;
    if (node.enum !== undefined) return node.enum[0];
    if (node.anyOf !== undefined) return make(node.anyOf[0] ?? true);
    if (node.$ref !== undefined) return 'a JSON value';
    if (node.type === 'object')
      return Object.fromEntries(Object.entries(node.properties ?? {}).map(([name, part]) => [name, make(part)]));
    if (node.type === 'array') return Array.isArray(node.items) || node.items === undefined ? [] : [make(node.items)];
    if (node.type === 'integer' || node.type === 'number') return Math.max(1, node.minimum ?? 1);
    if (node.type === 'boolean') return true;
    if (node.type === 'null') return null;
    if (node.format === 'uuid') return id;
    if (node.format === 'date-time') return '2026-11-22T21:15:00.000Z';
    if (node.format === 'email') return 'someone@example.com';
    const plain = 'a'.repeat(Math.max(1, node.minLength ?? 1));
    const pattern = new RegExp(node.pattern ?? '');
    return [plain, 'example.com', '000000'].find((text) => pattern.test(text)) ?? plain;
  };
  return make(root);
}

/** Where a JSON Schema lets a string be of any length; free JSON values are left to the body's cap. */
function unboundedIn(node: unknown, at: string): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const { type, maxLength, format, pattern, enum: values, const: value }: Record<string, unknown> = { ...node };
  const bound = maxLength ?? format ?? pattern ?? values ?? value;
  if (type === 'string') return bound === undefined ? [at] : [];
  return Object.entries(node).flatMap(([key, part]) => (key === '$defs' ? [] : unboundedIn(part, `${at}/${key}`)));
}

for (const { path, row } of table) {
  test(`${path} takes an object, and its output parses to itself`, () => {
    expect(row.input.safeParse(sample(row.input, 'input')).error).toBeUndefined();
    const answer = sample(row.output, 'output');
    expect(row.output.parse(answer)).toEqual(answer);
    expect(row.output.safeParse(null).success).toBe(false);
    expect(row.summary).toMatch(/^[A-Z].*[.]$/);
  });

  test(`${path} takes no string without a bound`, () => {
    expect(unboundedIn(z.toJSONSchema(row.input, { io: 'input' }), '')).toEqual([]);
  });

  test(`${path} lists errors of the table, each once and none that every row has`, () => {
    for (const code of row.errors) expect(isErrorCode(code), code).toBe(true);
    expect(new Set(row.errors).size).toBe(row.errors.length);
    expect(row.errors.filter((code) => commonErrors.some((common) => common === code))).toEqual([]);
  });

  test(`${path} has a role gate exactly when it is about a tenant`, () => {
    const tenant = row.scope !== 'public' && row.scope !== 'user';
    expect(row.needs !== undefined).toBe(tenant);
    if (row.needs !== undefined) expect(permissions).toHaveProperty([row.needs]);
    if (tenant) expect(row.errors).toContain('NOT_FOUND');
    if (tenant && row.kind === 'mutation') expect(row.errors).toContain('FORBIDDEN');
    expect(rateLimits).toHaveProperty([row.limit]);
  });

  if (row.kind === 'mutation' && row.scope !== 'public' && row.scope !== 'user') {
    test(`${path} names the target its gate looks up, by a UUID of its input`, () => {
      expect(row.target).toBeDefined();
      const field = shapeOf(row)[row.target ?? ''];
      expect(field?.parse(id.toUpperCase())).toBe(id);
      expect(field?.safeParse('not-an-id').success).toBe(false);
      expect(field?.safeParse(undefined).success).toBe(false);
    });
  }

  if (row.kind === 'query') {
    test(`${path} cannot write, and is read with the limit of reads`, () => {
      expect(row.tx).not.toBe('write');
      expect(row.limit).toBe('read');
      expect(row.rest ?? 'GET ').toMatch(/^GET /);
      expect(row.status).toBeUndefined();
    });
  } else {
    test(`${path} is not read over GET nor counted as a read`, () => {
      expect(row.rest ?? 'POST ').not.toMatch(/^GET /);
      expect(row.limit).not.toBe('read');
    });
  }

  test(`${path} takes each placeholder of its REST path from its input`, () => {
    const names = [...(row.rest ?? '').matchAll(/:(\w+)/g)].map((match) => match[1]);
    expect(Object.keys(shapeOf(row))).toEqual(expect.arrayContaining(names));
    expect(new Set(names).size).toBe(names.length);
  });
}

test('no two rows answer the same method and path', () => {
  const places = table.flatMap(({ row }) => (row.rest === undefined ? [] : [row.rest.replaceAll(/:\w+/g, ':')]));
  expect(new Set(places).size).toBe(places.length);
});

test('lists take limit and cursor and answer items and nextCursor', () => {
  const lists = table.filter(({ path }) => path.endsWith('.list'));
  expect(lists.length).toBeGreaterThan(0);
  for (const { path, row } of lists) {
    expect(Object.keys(shapeOf(row)), path).toEqual(expect.arrayContaining(['limit', 'cursor']));
    expect(row.output.safeParse({ items: [], nextCursor: null }).success, path).toBe(true);
  }
});

for (const [code, row] of Object.entries(errorTable)) {
  test(`${code} carries the numbers tRPC itself would send`, () => {
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    expect(TRPC_ERROR_CODES_BY_KEY).toHaveProperty([row.trpc]);
    // Checked by the line above.
    const name = row.trpc as keyof typeof TRPC_ERROR_CODES_BY_KEY;
    expect(getHTTPStatusCodeFromError(new TRPCError({ code: name }))).toBe(row.http);
    expect(row.rpc).toBe(TRPC_ERROR_CODES_BY_KEY[name]);
    expect(row.text).toMatch(/^[A-Z].*[.]$/);
  });
}

for (const [type, row] of Object.entries(events)) {
  test(`event ${type} is named after its aggregate and carries its id`, () => {
    expect(isEventType(type)).toBe(true);
    expect(type).toMatch(/^[a-z]+[.][a-z]+$/);
    expect(type.split('.')[0]).toBe(row.aggregate);
    expect(aggregateTypes).toContain(row.aggregate);
    expect(row.version).toBeGreaterThanOrEqual(1);
    expect(Object.keys(row.payload.shape)).toContain(`${row.aggregate}Id`);
    expect(eventSubject({ type })).toBe(`novax.events.${type}`);
  });
}

test('an event that is not in the registry is not one', () => {
  expect(isEventType('document.exploded')).toBe(false);
  expect(isEventType('toString')).toBe(false);
});

for (const [name, row] of Object.entries(jobs)) {
  test(`job ${name} goes to a known queue, under an id BullMQ accepts, with a payload that cannot be anything`, () => {
    expect(queueNames).toContain(row.queue);
    // A key of the registry.
    const made = jobId(name as JobName, id);
    expect(made).toBe(`${name}-${id}`);
    expect(made).not.toContain(':');
    expect(row.attempts).toBeGreaterThanOrEqual(1);
    expect(row.payload.safeParse('text').success).toBe(false);
  });
}

test('an owner may do everything, and each stronger role whatever a weaker one may', () => {
  for (const action of Object.keys(permissions)) {
    // A key of the table.
    const allowed = roles.map((role) => roleMay(role, action as keyof typeof permissions));
    expect(allowed[0], action).toBe(true);
    expect(allowed, action).toEqual(allowed.toSorted((a, b) => Number(b) - Number(a)));
  }
});
