/**
 * Which way imports run. Folders of src are rooms; a room's face is its index.ts, and nobody imports past it.
 * What each room may import is the table of ARCHITECTURE.md; everything not named here is refused.
 */

const mayImport = {
  core: [],
  storage: ['core'],
  parquet: ['core'],
  cache: ['storage', 'core'],
  keyindex: ['parquet', 'core'],
  table: ['keyindex', 'cache', 'parquet', 'storage', 'core'],
  shard: ['table', 'keyindex', 'cache', 'parquet', 'storage', 'core'],
  rewrite: ['shard', 'table', 'parquet', 'storage', 'core'],
  server: ['shard', 'table', 'core'],
  workers: ['server', 'shard', 'table', 'keyindex', 'cache', 'parquet', 'storage', 'core'],
  client: [],
  bench: ['core'],
};

const directions = Object.entries(mayImport).map(([room, allowed]) => ({
  name: `${room}-imports-${allowed.join('-') || 'nothing'}`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...directions,
    {
      name: 'every-room-has-its-rule',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(mayImport).join('|')}|cli)/` },
      to: {},
    },
    {
      name: 'only-through-the-index-of-a-room',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'composition-root-only-through-the-index-of-a-room',
      severity: 'error',
      from: { path: '^(src/[^/]+\\.ts$|bench/|datasets/|scripts/)' },
      to: { path: '^src/[^/]+/', pathNot: '^src/[^/]+/index\\.ts$' },
    },
    {
      // A test may open its own room; what it needs of another comes through that room's index. The command line is no
      // room: only tests import it, from wherever they set up a whole node.
      name: 'test-opens-only-its-own-room',
      severity: 'error',
      from: { path: '^test/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$', '^src/cli/'] },
    },
    {
      name: 'sources-import-nothing-outside-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|datasets|scripts|bin)/' },
    },
    {
      name: 'main-is-imported-only-by-cli-test-and-bench',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli/|main\\.ts$)' },
      to: { path: '^src/main\\.ts$' },
    },
    {
      name: 'parquet-and-core-do-no-io',
      severity: 'error',
      from: { path: '^src/(parquet|core)/' },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|fs/promises|net|http|https|http2|dns|tls|child_process|cluster)$',
      },
    },
    {
      name: 'published-code-needs-published-dependencies',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { path: '^(src|test|bench|datasets|scripts)/' },
      to: { circular: true },
    },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
  },
};
