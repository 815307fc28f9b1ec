/** Raw calls, for inputs and credentials that the typed client would never send. */
import { randomUUID } from 'node:crypto';
import { contract } from '@novax/contracts/api/contract';
import type { Row } from '@novax/contracts/procedure';

/** The ways into the API. */
export const faces = ['trpc', 'batch', 'rest'] as const;
export type Face = (typeof faces)[number];

export interface Answer {
  readonly status: number;
  /** The body as it came. */
  readonly text: string;
  /** The answer's data; undefined for an error. */
  readonly data: unknown;
  /** The application's error code; undefined for a success. */
  readonly code: string | undefined;
  readonly requestId: string | null;
  readonly contentType: string;
}

export interface CallOptions {
  /** Absent sends none. */
  readonly input?: unknown;
  /** Value of the Authorization header; absent sends none. */
  readonly authorization?: string | undefined;
  readonly face?: Face;
  readonly requestId?: string;
}

/** Every row of the contract by `feature.verb`. */
export const rows: ReadonlyMap<string, Row> = new Map(
  Object.entries<Record<string, Row>>(contract).flatMap(([feature, verbs]) =>
    Object.entries(verbs).map(([verb, row]) => [`${feature}.${verb}`, row] as const),
  ),
);

/** The row of a path. Throws for one that is not in the contract. */
export function rowOf(path: string): Row {
  const row = rows.get(path);
  if (row === undefined) throw new Error(`the contract has no ${path}`);
  return row;
}

/** Calls a procedure with any input by one of the faces; errors are answers, not exceptions. */
export async function call(url: string, path: string, options: CallOptions): Promise<Answer> {
  const { input, face = 'trpc', authorization, requestId = randomUUID() } = options;
  const headers: Record<string, string> = {
    'x-request-id': requestId,
    ...(authorization === undefined ? {} : { authorization }),
  };
  const { target, method, body } = requestOf(path, input, face);
  const response = await fetch(`${url}${target}`, {
    method,
    headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body }),
  });
  return answerOf(response);
}

/** Reads an answer of any face. */
export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const parsed: unknown = text === '' ? undefined : JSON.parse(text);
  // A batch of one is a list of one.
  const one = Array.isArray(parsed) ? parsed[0] : parsed;
  return {
    status: response.status,
    text,
    data: one?.result === undefined ? (response.ok ? one : undefined) : one.result.data,
    code: one?.error?.data?.appCode ?? (response.ok ? undefined : one?.code),
    requestId: response.headers.get('x-request-id'),
    contentType: response.headers.get('content-type') ?? '',
  };
}

function requestOf(path: string, input: unknown, face: Face): { target: string; method: string; body?: string } {
  const row = rowOf(path);
  if (face === 'rest') return restRequest(row, input);
  const value = face === 'batch' ? { 0: input } : input;
  const batch = face === 'batch' ? 'batch=1' : '';
  if (row.kind === 'mutation')
    return { target: `/trpc/${path}${batch && `?${batch}`}`, method: 'POST', body: JSON.stringify(value) };
  const query = [batch, `input=${encodeURIComponent(JSON.stringify(value))}`].filter((part) => part !== '').join('&');
  return { target: `/trpc/${path}?${query}`, method: 'GET' };
}

/** The route of a row with its `:names` filled in; the rest of the input goes into the query of a GET, the body of anything else. */
function restRequest(row: Row, input: unknown): { target: string; method: string; body?: string } {
  if (row.rest === undefined) throw new Error(`${row.summary} is not on the REST face`);
  const [method = '', route = ''] = row.rest.split(' ');
  if (Array.isArray(input)) return { target: `/api/v1${route}`, method, body: JSON.stringify(input) };
  // Inputs of the contract's rows are objects.
  const left = { ...(input as Record<string, unknown>) };
  const filled = route.replace(/:(\w+)/g, (_, name: string) => {
    const value = left[name];
    delete left[name];
    return encodeURIComponent(String(value));
  });
  if (method === 'GET' || method === 'DELETE') {
    const query = new URLSearchParams(
      Object.entries(left).map(([name, value]): [string, string] => [name, String(value)]),
    );
    return { target: `/api/v1${filled}${query.size === 0 ? '' : `?${query.toString()}`}`, method };
  }
  return { target: `/api/v1${filled}`, method, body: JSON.stringify(left) };
}
