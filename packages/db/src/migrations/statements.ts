/**
 * Splits a SQL file into its statements without executing it, so that the runner can tell what needs no transaction.
 */

/** Ends (exclusive) of the quoted or commented stretch that opens at `at`, or `at` itself when none opens there. */
function endOfOpaque(sql: string, at: number): number {
  const rest = (from: number, close: string): number => {
    const end = sql.indexOf(close, from);
    return end === -1 ? sql.length : end + close.length;
  };
  const two = sql.slice(at, at + 2);
  if (two === '--') return rest(at, '\n');
  if (two === '/*') return endOfBlockComment(sql, at);
  const char = sql[at];
  if (char === '"') return rest(at + 1, '"');
  if (char === "'") {
    const escapes = /(^|[^a-z0-9_$])e$/i.test(sql.slice(Math.max(0, at - 2), at));
    let end = at + 1;
    while (end < sql.length && sql[end] !== "'") end += escapes && sql[end] === '\\' ? 2 : 1;
    return end + 1;
  }
  if (char === '$' && !/[A-Za-z0-9_$]/.test(sql[at - 1] ?? ' ')) {
    const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(sql.slice(at, at + 66))?.[0];
    if (tag) return rest(at + tag.length, tag);
  }
  return at;
}

function endOfBlockComment(sql: string, at: number): number {
  let depth = 0;
  for (let i = at; i < sql.length; i++) {
    const two = sql.slice(i, i + 2);
    if (two === '/*') depth++;
    if (two === '*/' && --depth === 0) return i + 2;
    if (two === '/*' || two === '*/') i++;
  }
  return sql.length;
}

/**
 * The statements of `sql` with comments dropped, literals and quoted names emptied and white space collapsed: fit for
 * asking what kind of statement it is, not for executing. Bodies written in SQL-standard form (`BEGIN ATOMIC … END`)
 * stay one statement.
 */
export function statementOutlines(sql: string): string[] {
  const statements: string[] = [];
  let current = '';
  const flush = (): void => {
    const outline = current.replace(/\s+/g, ' ').trim();
    if (outline !== '') statements.push(outline);
    current = '';
  };
  for (let i = 0; i < sql.length;) {
    const end = endOfOpaque(sql, i);
    if (end > i) {
      const opener = sql[i] ?? '';
      current += opener === '-' || opener === '/' ? ' ' : `${opener}${opener}`;
      i = end;
    } else if (sql[i] === ';' && !insideAtomicBody(current)) {
      flush();
      i++;
    } else {
      current += sql[i++] ?? '';
    }
  }
  flush();
  return statements;
}

function insideAtomicBody(outline: string): boolean {
  const opened = /\bbegin\s+atomic\b/i.exec(outline);
  if (!opened) return false;
  const body = outline.slice(opened.index + opened[0].length);
  const cases = body.match(/\bcase\b/gi)?.length ?? 0;
  const ends = body.match(/\bend\b/gi)?.length ?? 0;
  return ends <= cases;
}

/**
 * Whether this statement must run outside a transaction block (a materialized view may be refreshed concurrently inside
 * one).
 */
export function forbidsTransaction(outline: string): boolean {
  return /\bconcurrently\b/i.test(outline) && !/^refresh\b/i.test(outline);
}

/** Whether this statement opens or ends a transaction, which a migration must leave to the runner. */
export function controlsTransaction(outline: string): boolean {
  return /^(begin|start transaction|commit|end|rollback(?! to\b)|abort|prepare transaction)\b/i.test(outline);
}
