/** Reads TypeScript sources as syntax trees, for rules that text search would get wrong. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A node of the tree, as far as the rules look into it. */
export interface SyntaxNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** One source file with its tree. */
export interface Source {
  /** Path from the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Statements of the module, in order. */
  readonly body: readonly SyntaxNode[];
  /** 1-based line where a node starts. */
  lineOf(node: SyntaxNode): number;
  /** 1-based line where a node ends. */
  endLineOf(node: SyntaxNode): number;
}

/** The paths of all files that match a glob of the repository, without packages and what is generated. */
export function repositoryFiles(pattern: string): string[] {
  const ignored = /(^|[\\/])(node_modules|fixtures|\.novax|coverage)([\\/]|$)/;
  return globSync(pattern, { cwd: ROOT, exclude: (name) => ignored.test(name) })
    .map((file) => file.replaceAll('\\', '/'))
    .toSorted();
}

/** Parses a file of the repository. */
export function readSource(path: string): Source {
  return parseSource(path, readFileSync(join(ROOT, path), 'utf8'));
}

/** Parses a text as if it stood at `path`; throws on a syntax error. */
export function parseSource(path: string, text: string): Source {
  // swc counts positions in bytes from the first token on; an empty statement in front makes that the beginning of the file.
  const module = parseSync(`;${text}`, { syntax: 'typescript', target: 'es2024' });
  const bytes = Buffer.from(`;${text}`);
  const base = module.span.start;
  const lineAt = (position: number): number =>
    bytes
      .subarray(0, position - base)
      .toString()
      .split('\n').length;
  return {
    path,
    text,
    lines: text.split('\n'),
    body: module.body.slice(1).map(asNode),
    lineOf: (node) => lineAt(spanOf(node).start),
    endLineOf: (node) => lineAt(spanOf(node).end),
  };
}

/** Every node below `root`, depth first, each with the chain of its parents (nearest last). */
export function* walk(
  root: unknown,
  parents: readonly SyntaxNode[] = [],
): Generator<{ node: SyntaxNode; parents: readonly SyntaxNode[] }> {
  if (Array.isArray(root)) {
    for (const item of root) yield* walk(item, parents);
    return;
  }
  if (typeof root !== 'object' || root === null) return;
  const below = isNode(root) ? [...parents, root] : parents;
  if (isNode(root)) yield { node: root, parents };
  for (const value of Object.values(root)) yield* walk(value, below);
}

/** The field of a node that is itself a node. */
export function child(node: SyntaxNode | undefined, field: string): SyntaxNode | undefined {
  const value = node?.[field];
  return isNode(value) ? value : undefined;
}

/** Whether the node is `object.property`, written with a dot or as `object['property']`. */
export function isMember(node: SyntaxNode | undefined, object: string, property: string): boolean {
  return (
    node?.type === 'MemberExpression' && child(node, 'object')?.['value'] === object && propertyName(node) === property
  );
}

/** The name after the dot, or inside constant brackets. */
export function propertyName(member: SyntaxNode): string | undefined {
  const property = child(member, 'property');
  const name = property?.type === 'Computed' ? child(property, 'expression') : property;
  return typeof name?.['value'] === 'string' ? name['value'] : undefined;
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function asNode(value: unknown): SyntaxNode {
  if (!isNode(value)) throw new Error('the parser answered something that is not a node');
  return value;
}

function spanOf(node: SyntaxNode): { start: number; end: number } {
  const span = node['span'];
  if (typeof span !== 'object' || span === null || !('start' in span) || !('end' in span)) return { start: 0, end: 0 };
  return { start: Number(span.start), end: Number(span.end) };
}
