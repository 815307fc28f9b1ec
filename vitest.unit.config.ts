/** The tests that need no server (`*.unit.test.ts`, anywhere): part of `npm run check`. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{tests,packages,apps,infra,bin}/**/*.unit.test.ts'],
    exclude: ['**/node_modules/**', '**/fixtures/**', '.novax/**'],
    reporters: ['default', './tests/reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
  },
});
