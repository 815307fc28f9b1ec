/** The house rules that neither the linter nor the layer check can hold: each takes a source and names its violations. */
import { child, isMember, propertyName, type Source, type SyntaxNode, walk } from './syntax.ts';

/** Answers one line per violation, `path:line what`. */
export type Rule = (source: Source) => string[];

const DECLARATIONS = new Set(['ClassDeclaration', 'TsInterfaceDeclaration', 'TsTypeAliasDeclaration']);
const BYPASSES = new Set(['getConnection', 'getKysely', 'getKnex', 'transactional']);
const SQL =
  /^\s*((select|SELECT)\s[\s\S]*\b(from|FROM)\b|(insert|INSERT)\s+(into|INTO)\s|(update|UPDATE)\s+[\w.]+\s+(set|SET)\s|(delete|DELETE)\s+(from|FROM)\s)/;

/** Lines a file may have: 120 for a handler, 250 in domain, 400 elsewhere; tests are as long as they need. */
export function lineBudget(path: string): number {
  if (path.endsWith('.test.ts')) return Infinity;
  if (path.startsWith('apps/api/src/handlers/')) return 120;
  if (path.startsWith('packages/domain/')) return 250;
  return 400;
}

/** A file keeps its line budget. */
export const keepsItsBudget: Rule = ({ path, lines }) => {
  const length = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  return length > lineBudget(path) ? [`${path}:${length} more than ${lineBudget(path)} lines`] : [];
};

/** A file opens with one sentence of purpose. */
export const opensWithPurpose: Rule = ({ path, text }) =>
  /^(#!.*\n)?\/\*\*[\s*]*[^\s*/]/.test(text) ? [] : [`${path}:1 opens without a sentence of purpose`];

/** Every exported function is documented. */
export const documentsItsFunctions: Rule = (source) =>
  source.body.flatMap((statement) => {
    const declared = child(statement, 'declaration');
    if (statement.type !== 'ExportDeclaration' || declared?.type !== 'FunctionDeclaration') return [];
    const line = source.lineOf(statement);
    const above = source.lines[line - 2]?.trimEnd() ?? '';
    const overload = above.endsWith(';') && /^export (async )?function/.test(above);
    if (above.endsWith('*/') || overload) return [];
    return [`${source.path}:${line} ${String(child(declared, 'identifier')?.['value'])} has no docstring`];
  });

/** `as` (but `as const`) stands beside a comment that says why: on its lines, the line above it, or the line above its statement. */
export const explainsItsCasts: Rule = (source) =>
  found(source, (node, parents) => {
    if (node.type !== 'TsAsExpression' && node.type !== 'TsTypeAssertion') return undefined;
    const statement =
      parents.findLast(({ type }) => /(Statement|Declaration|ClassProperty|ClassMethod)$/.test(type)) ?? node;
    const from = source.lineOf(node);
    const places = [source.lineOf(statement) - 2, from - 2, ...range(from - 1, source.endLineOf(node) - 1)];
    const explained = places.some((index) =>
      /\/\/|\*\/|^\s*\*/.test((source.lines[index] ?? '').replaceAll('://', '')),
    );
    return explained ? undefined : 'a cast without a comment that says why';
  });

/** Importing a module does nothing: statements that act stand in programs, threads and tests, or below `if (import.meta.main)`. */
export const doesNothingAtImport: Rule = (source) =>
  source.body
    .filter((statement) => !isMainOnly(statement))
    .filter(({ type }) => /^(Expression|If|For|ForOf|ForIn|While|Try)Statement$/.test(type))
    .map((statement) => `${source.path}:${source.lineOf(statement)} acts at import`);

/** Transactions and raw statements go through the doors of packages/db, never around them. */
export const usesTheDoors: Rule = (source) =>
  found(source, (node) => {
    const callee = child(node, 'callee');
    if (node.type !== 'CallExpression' || callee?.type !== 'MemberExpression') return undefined;
    const name = propertyName(callee);
    return name !== undefined && BYPASSES.has(name) ? `.${name}() outside packages/db/src/tx.ts` : undefined;
  });

/** Domain code takes the time from its transaction and its settings from its caller. */
export const hasNoAmbientInput: Rule = (source) =>
  found(source, (node) => {
    if (isMember(node, 'process', 'env')) return 'reads process.env';
    if (isMember(node, 'Date', 'now')) return 'reads the clock (Date.now)';
    if (isMember(node, 'performance', 'now')) return 'reads the clock (performance.now)';
    if (isMember(node, 'Math', 'random')) return 'draws a random number';
    if (node.type !== 'NewExpression' || child(node, 'callee')?.['value'] !== 'Date') return undefined;
    const { arguments: args } = node;
    return Array.isArray(args) && args.length > 0 ? undefined : 'reads the clock (new Date)';
  });

/** Statements in SQL stand in packages/db alone. */
export const hasNoSql: Rule = (source) =>
  found(source, (node) => {
    const text =
      node.type === 'TemplateElement' ? node['raw'] : node.type === 'StringLiteral' ? node['value'] : undefined;
    return typeof text === 'string' && SQL.test(text) ? 'holds SQL' : undefined;
  });

/** Names come from the field: no Manager, Helper, Util or Base, and no prefix that says "interface" or "zod". */
export const namesThings: Rule = (source) => {
  const file = /(^|[/-])(manager|helpers?|utils?|misc|common|base)[.]ts$/.test(source.path)
    ? [`${source.path}:1 a file name that says nothing`]
    : [];
  return [
    ...file,
    ...found(source, (node) => {
      if (!DECLARATIONS.has(node.type)) return undefined;
      const name = String((child(node, 'identifier') ?? child(node, 'id'))?.['value']);
      return /(Manager|Helpers?|Utils?|Base)$|^[IZ][A-Z][a-z]/.test(name)
        ? `${name}: a name of another house`
        : undefined;
    }),
  ];
};

/** Work that is owed stands in the tracker; code says what is. */
export const owesNothing: Rule = ({ path, lines }) =>
  lines.flatMap((line, index) =>
    /(\/\/|\*|#|--).*\b(TODO|FIXME|XXX|HACK)\b/.test(line) ? [`${path}:${index + 1} owes something`] : [],
  );

/** A test never waits by the clock: `eventually` and the test clock do. */
export const neverSleeps: Rule = (source) =>
  found(source, (node) => {
    const callee = child(node, 'callee');
    if (node.type !== 'CallExpression' || callee === undefined) return undefined;
    const promised = callee.type === 'Identifier' && callee['value'] === 'sleep';
    return promised || isMember(callee, 'Atomics', 'wait') ? 'sleeps' : undefined;
  });

function isMainOnly(statement: SyntaxNode): boolean {
  const tested = child(statement, 'test');
  return statement.type === 'IfStatement' && tested?.type === 'MemberExpression' && propertyName(tested) === 'main';
}

function found(
  source: Source,
  judge: (node: SyntaxNode, parents: readonly SyntaxNode[]) => string | undefined,
): string[] {
  return [...walk(source.body)].flatMap(({ node, parents }) => {
    const what = judge(node, parents);
    return what === undefined ? [] : [`${source.path}:${source.lineOf(node)} ${what}`];
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
