/** The house rules hold over the whole tree, and every rule still bites on a planted fault. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  documentsItsFunctions,
  doesNothingAtImport,
  explainsItsCasts,
  hasNoAmbientInput,
  hasNoSql,
  keepsItsBudget,
  namesThings,
  neverSleeps,
  opensWithPurpose,
  owesNothing,
  type Rule,
  usesTheDoors,
} from './architecture/rules.ts';
import { parseSource, readSource, repositoryFiles, ROOT } from './architecture/syntax.ts';
import { citedPaths } from './architecture/cited-paths.ts';

const SOURCES = '{packages,apps,infra}/**/src/**/*.ts';
const EVERYTHING = '{packages,apps,infra,tests,bench}/**/*.ts';

interface HouseRule {
  guarantee: string;
  rule: Rule;
  over: string;
  except?: RegExp;
  /** Where the planted fault pretends to stand, and its text. */
  planted: readonly [path: string, text: string];
  /** A text that the rule must let pass. */
  sound: string;
}

const RULES: readonly HouseRule[] = [
  {
    guarantee: 'a source file keeps its line budget',
    rule: keepsItsBudget,
    over: EVERYTHING,
    planted: ['apps/api/src/handlers/planted.ts', '\n'.repeat(121)],
    sound: '\n'.repeat(120),
  },
  {
    guarantee: 'a source file opens with one sentence of purpose',
    rule: opensWithPurpose,
    over: EVERYTHING,
    except: /[.]test[.]ts$/,
    planted: ['packages/db/src/planted.ts', 'export const a = 1;'],
    sound: '/** Holds a. */\nexport const a = 1;',
  },
  {
    guarantee: 'an exported function is documented',
    rule: documentsItsFunctions,
    over: SOURCES,
    // A command file holds one function, and its opening sentence is what that does.
    except: /[.]test[.]ts$|^apps\/ops\/src\/commands\//,
    planted: ['packages/db/src/planted.ts', '/** Purpose. */\n\nexport function a(): void {}'],
    sound: '/** Does nothing. */\nexport function a(): void {}\nfunction b(): void {}',
  },
  {
    guarantee: 'a cast stands beside its reason',
    rule: explainsItsCasts,
    over: SOURCES,
    except: /[.]test[.]ts$/,
    planted: ['packages/db/src/planted.ts', 'const url = "https://novax.example";\nconst a = url as unknown;'],
    sound:
      "import { x as y } from 'x';\n// the driver types this as any\nconst a = y as string;\nconst b = ['a'] as const;",
  },
  {
    guarantee: 'importing a module does nothing',
    rule: doesNothingAtImport,
    over: SOURCES,
    // Programs and threads act; an entity's class is joined to its table where both are declared.
    except: /([.]test|[.-](worker|thread)|\/(main|daemon|leash)|\/entities\/[\w-]+)[.]ts$/,
    planted: ['packages/db/src/planted.ts', 'const a = new Map();\na.set(1, 1);'],
    sound: 'const a = new Map();\nexport function fill(): void {\n  a.set(1, 1);\n}',
  },
  {
    guarantee: 'transactions and raw statements go through the doors of packages/db',
    rule: usesTheDoors,
    over: SOURCES,
    except: /^packages\/db\/src\/tx[.]ts$/,
    planted: ['apps/api/src/planted.ts', 'await em.transactional(work);'],
    sound: 'if (!script.transactional) run(script);',
  },
  {
    guarantee: 'domain takes time, chance and settings from its caller',
    rule: hasNoAmbientInput,
    over: 'packages/domain/src/**/*.ts',
    except: /[.]test[.]ts$/,
    planted: ['packages/domain/src/planted.ts', 'const at = new Date();'],
    sound: 'const at = new Date(tx.now);',
  },
  {
    guarantee: 'SQL stands in packages/db and apps/ops alone',
    rule: hasNoSql,
    over: '{packages/{contracts,client,runtime,domain,adapters},apps/{api,workers}}/src/**/*.ts',
    except: /[.]test[.]ts$/,
    planted: ['packages/domain/src/planted.ts', 'const rows = run(`select id from documents where id = ${id}`);'],
    sound: "const label = 'Select a document from the list';",
  },
  {
    guarantee: 'names say what a thing is',
    rule: namesThings,
    over: EVERYTHING,
    planted: ['packages/db/src/planted.ts', 'export interface IDocument { id: string }'],
    sound: 'export interface Inbox { id: string }\nexport type Database = Inbox;',
  },
  {
    guarantee: 'no source owes work to a comment',
    rule: owesNothing,
    over: EVERYTHING,
    except: /^tests\/architecture/,
    planted: ['packages/db/src/planted.ts', `// ${'TO'}${'DO'}: later`],
    sound: '// later is never',
  },
  {
    guarantee: 'a test waits for a state, never for the clock',
    rule: neverSleeps,
    over: '{packages,apps,infra,tests}/**/*.test.ts',
    planted: ['tests/planted.test.ts', 'await sleep(100);'],
    sound: 'await eventually(() => found());',
  },
];

describe.each(RULES)('$guarantee', ({ rule, over, except, planted, sound }) => {
  test('everywhere', () => {
    const files = repositoryFiles(over).filter((path) => !(except?.test(path) ?? false));
    expect(files.length, `no file under ${over}: the rule guards nothing`).toBeGreaterThan(0);
    expect(files.flatMap((path) => rule(readSource(path)))).toEqual([]);
  });

  test('and a planted fault is found, a sound text is not', () => {
    const [path, text] = planted;
    expect(rule(parseSource(path, text))).toHaveLength(1);
    expect(rule(parseSource(path, sound))).toEqual([]);
  });
});

describe('every path that the documents cite exists', () => {
  const documents = [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    ...repositoryFiles('docs/*.md'),
    ...repositoryFiles('{apps,infra,packages}/*/README.md'),
  ];

  test.each(documents)('%s', (document) => {
    const beside = dirname(document);
    // Below the root, a bare file name is an example as often as a file.
    const cited = citedPaths(readFileSync(join(ROOT, document), 'utf8')).filter(
      (path) => beside === '.' || path.includes('/'),
    );
    const missing = cited.filter((path) => ![path, join(beside, path)].some(isThere));
    expect(missing).toEqual([]);
  });

  test('and a path that does not exist would be found', () => {
    const text =
      'See `packages/db/src/nowhere.ts:12`, `tests/{kit,nowhere}/`, [plan](./nowhere.md#top), `npm test`, `a/b`, <https://novax.example/x>.';
    expect(citedPaths(text)).toEqual(['packages/db/src/nowhere.ts', 'tests/kit/', 'tests/nowhere/', 'nowhere.md']);
    expect(citedPaths(text).filter(isThere)).toEqual(['tests/kit/']);
  });
});

function isThere(path: string): boolean {
  return path.includes('*') ? repositoryFiles(path).length > 0 : existsSync(join(ROOT, path));
}
