/**
 * The straight line of packages, held by `npm run check`: contracts ← runtime ← db ← domain ← adapters ← apps, imports only to the left.
 * TypeScript 7 has no JavaScript API, so `@swc/core` parses; without it nothing would be cruised, which the check treats as a failure.
 */

const room = {
  contracts: '^packages/contracts/',
  client: '^packages/client/',
  runtime: '^packages/runtime/',
  db: '^packages/db/',
  domain: '^packages/domain/',
  adapters: '^packages/adapters/',
  apps: '^apps/',
  cdk8s: '^infra/cdk8s/',
};

/** The rooms that each room may import besides itself; a room that is absent here is not held to the line. */
const reach = {
  contracts: [],
  client: ['contracts'],
  runtime: ['contracts'],
  db: ['contracts', 'runtime'],
  domain: ['contracts', 'runtime', 'db'],
  adapters: ['contracts', 'runtime', 'db', 'domain'],
  cdk8s: ['contracts'],
};

/** Packages from the registry that a room may import; a room that is absent here may import what its package.json lists. */
const externals = {
  contracts: ['zod', '@trpc/server'],
  client: ['@trpc/client', '@trpc/server'],
  runtime: ['zod', 'pino', 'prom-client', 'uuid', '@opentelemetry/[^/]+'],
  domain: ['zod'],
};

/**
 * Where running begins: processes, command files loaded on demand, threads, tools and tests. Files that none of these reaches are dead,
 * save in contracts and client, whose readers are other people's programs.
 */
const entries = [
  '^apps/[^/]+/src/main[.]ts$',
  '^apps/ops/src/commands/',
  '^apps/ops/src/supervisor/(daemon|leash)[.]ts$',
  '^infra/cdk8s/src/synth[.]ts$',
  '^packages/db/src/migrations/golden[.]ts$',
  '[.-](worker|thread|main)[.]ts$',
  '[.]test[.]ts$',
  '^tests/(global-setup|reporter|run)[.]ts$',
  '^tests/kit/faults/[^/]+-main[.]ts$',
  '^(bench|bin)/',
];

/** Matches the file of a package wherever npm placed it: hoisted, or nested in a workspace. */
const inNodeModules = (names) => names.map((name) => `node_modules/(@types/)?${name}/`);

const lineRules = Object.entries(reach).map(([name, allowed]) => ({
  name: `line-${name}`,
  comment: `${name} may import ${allowed.length > 0 ? allowed.join(', ') : 'no other package of this repository'}`,
  severity: 'error',
  from: { path: room[name] },
  to: {
    path: '^(packages|apps|infra|tests|bench|bin)/',
    pathNot: [room[name], ...allowed.map((other) => room[other]), '/node_modules/'],
  },
}));

const externalRules = Object.entries(externals).map(([name, allowed]) => ({
  name: `externals-${name}`,
  comment: `${name} may import from the registry only: ${allowed.join(', ')}`,
  severity: 'error',
  from: { path: room[name], pathNot: '[.]test[.]ts$' },
  to: { path: 'node_modules/', pathNot: inNodeModules(allowed) },
}));

export default {
  forbidden: [
    ...lineRules,
    ...externalRules,
    {
      name: 'no-app-to-app',
      comment: 'apps meet through servers and contracts, never through imports',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: ['^apps/$1/', '/node_modules/'] },
    },
    {
      name: 'apps-stay-out-of-manifests-and-client',
      comment: 'infra/cdk8s and packages/client are for apps/ops alone',
      severity: 'error',
      from: { path: '^apps/(?!ops/)' },
      to: { path: [room.cdk8s, room.client], pathNot: '/node_modules/' },
    },
    {
      name: 'apps-import-no-tests',
      comment: 'what ships does not import what tests it',
      severity: 'error',
      from: { path: room.apps, pathNot: '[.]test[.]ts$' },
      to: { path: '^(tests|bench|bin)/' },
    },
    {
      name: 'acceptance-sees-contracts-only',
      comment:
        'tests/acceptance knows the product by HTTP and packages/contracts, as a stranger does; the kit only starts it',
      severity: 'error',
      from: { path: '^tests/acceptance/' },
      to: { path: '^(packages|apps|infra|tests|bench|bin)/', pathNot: ['^tests/(acceptance|kit)/', room.contracts] },
    },
    {
      name: 'contracts-take-types-of-trpc',
      comment: 'contracts must be safe in a browser: tRPC server code may be named there as a type, never run',
      severity: 'error',
      from: { path: [room.contracts, room.client], pathNot: '[.]test[.]ts$' },
      to: { path: inNodeModules(['@trpc/server']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'contracts-and-client-without-node',
      comment: 'both run in browsers: no module of Node',
      severity: 'error',
      from: { path: [room.contracts, room.client], pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'domain-takes-types-of-zod',
      comment: 'domain is handed parsed input; it names zod types at most',
      severity: 'error',
      from: { path: room.domain, pathNot: '[.]test[.]ts$' },
      to: { path: inNodeModules(['zod']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'domain-opens-nothing',
      comment: 'domain reaches files, sockets and processes through its ports',
      severity: 'error',
      from: { path: room.domain, pathNot: '[.]test[.]ts$' },
      to: {
        path: '^(node:)?(fs|fs/promises|net|tls|http|http2|https|dgram|dns|child_process|worker_threads|cluster|os|process)$',
      },
    },
    {
      name: 'api-never-talks-to-queues',
      comment: 'the API appends outbox rows; jobs are enqueued by the workers',
      severity: 'error',
      from: { path: '^apps/api/' },
      to: { path: inNodeModules(['bullmq']) },
    },
    {
      name: 'no-circular',
      comment: 'modules that import each other cannot be read, tested or loaded apart',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-barrel',
      comment: 'imports end at a file that says what it holds, never at a directory index',
      severity: 'error',
      from: {},
      to: { path: '/index[.](ts|mts|js|mjs)$', pathNot: 'node_modules' },
    },
    {
      name: 'resolvable',
      comment: 'an import that resolves to nothing fails when it is reached',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'listed-dependency',
      comment: 'what a workspace imports, its own package.json (or the root, for tests and tools) lists',
      severity: 'error',
      from: { path: '^(packages|apps|infra)/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-dead-file',
      comment: 'no process, command, thread, tool or test reaches this file',
      severity: 'error',
      from: { path: entries },
      to: {
        path: '^(packages|apps|infra|tests)/',
        pathNot: [...entries, room.contracts, room.client, 'node_modules'],
        reachable: false,
      },
    },
    {
      name: 'tests-stay-in-tests',
      comment: 'a test file is run, not imported',
      severity: 'error',
      from: {},
      to: { path: '[.]test[.]ts$', pathNot: 'node_modules' },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['/fixtures/', '(^|/)[.]novax/', 'node_modules/[.]cache'] },
    combinedDependencies: false,
    preserveSymlinks: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mts', '.js', '.mjs', '.cjs', '.json'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
