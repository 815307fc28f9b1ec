/**
 * Layers, circles and dead files by dependency-cruiser: `node bin/check/layers.mjs [root]` prints every violation and exits 1 when there is one,
 * or when the cruise did not see the sources (a parser that is missing looks like a repository without faults otherwise).
 */
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import Visitor from '@swc/core/Visitor.js';
import config from '../../.dependency-cruiser.mjs';

const ROOMS = ['packages', 'apps', 'infra', 'tests', 'bench'];

teachUsing(Visitor.Visitor ?? Visitor);

/** swc parses `using` and `await using`, but the visitor it ships refuses them: walks their initial values as those of any variable. */
function teachUsing({ prototype }) {
  const { visitStatement } = prototype;
  prototype.visitStatement = function visit(statement) {
    if (statement.type !== 'UsingDeclaration') return visitStatement.call(this, statement);
    for (const declared of statement.decls) if (declared.init) this.visitExpression(declared.init);
    return statement;
  };
}

/**
 * Cruises the tree at `root` with this repository's rules.
 * @param {string} root absolute folder that holds packages/, apps/, …
 * @returns {Promise<{ modules: number, problems: string[] }>} sources seen, and one line per violation
 */
export async function layers(root) {
  const files = globSync(`{${ROOMS.join(',')}}/**/*.ts`, { cwd: root, exclude: isIgnored }).map((file) =>
    file.replaceAll('\\', '/'),
  );
  if (files.length === 0) return { modules: 0, problems: [`0 modules cruised in ${root}`] };
  const { forbidden, options } = config;
  const found = await cruise(files, { ...options, ruleSet: { forbidden }, validate: true, baseDir: root });
  const output = typeof found.output === 'string' ? JSON.parse(found.output) : found.output;
  const seen = new Set(output.modules.map((module) => module.source));
  const missed = files.filter((file) => !seen.has(file));
  const problems = [
    ...missed.map((file) => `not-cruised: ${file}`),
    ...unread(output.modules, files, root),
    ...output.summary.violations.map(describe),
  ];
  return { modules: files.length - missed.length, problems };
}

/** Files that name imports in their text while the parser found none: the parser gave up on them. */
function unread(modules, files, root) {
  const ours = new Set(files);
  const anyDependency = modules.some((module) => ours.has(module.source) && module.dependencies.length > 0);
  return anyDependency || files.length < 2
    ? []
    : [`0 imports found in ${files.length} files of ${root}: the parser is missing`];
}

function describe(violation) {
  const way = violation.cycle?.map((step) => step.name ?? step).join(' → ') ?? violation.to;
  return `${violation.rule.name}: ${violation.from} → ${way}`;
}

function isIgnored(entry) {
  const name = typeof entry === 'string' ? entry : entry.name;
  return /(^|[\\/])(node_modules|fixtures|\.novax|coverage)([\\/]|$)/.test(name);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = resolve(process.argv[2] ?? fileURLToPath(new URL('../..', import.meta.url)));
  process.chdir(root);
  const { modules, problems } = await layers(root);
  for (const problem of problems) console.log(problem);
  const why = new Map(config.forbidden.map((rule) => [rule.name, rule.comment]));
  for (const name of new Set(problems.map((problem) => problem.split(':')[0]))) {
    if (why.has(name)) console.log(`  ${name}: ${why.get(name)}`);
  }
  console.log(`${modules} modules, ${problems.length} problems`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
