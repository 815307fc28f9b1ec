/** The tests that need an engine and its images, without the servers of the full suite. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: { include: ['tests/ops/compose.test.ts'], reporters: ['dot'], hookTimeout: 60_000 },
});
