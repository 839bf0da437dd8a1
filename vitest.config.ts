import { defineConfig } from 'vitest/config';

// Three projects: `unit` is what `npm test` runs (under two minutes), `slow` does real compiles, `hygiene` is the
// part of `npm run check` that needs code to decide (schema freshness, import rule).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          globalSetup: './test/support/bundle.ts',
          include: ['test/**/*.test.ts'],
          exclude: ['test/slow/**', 'test/hygiene/**'],
          testTimeout: 30_000,
          pool: 'forks',
          // The default leaves a core to a person's editor, which on two is half of them.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'slow',
          globalSetup: './test/support/bundle.ts',
          include: ['test/slow/**/*.test.ts'],
          testTimeout: 40 * 60_000,
          hookTimeout: 40 * 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      { test: { name: 'hygiene', include: ['test/hygiene/**/*.test.ts'], testTimeout: 30_000 } },
    ],
    reporters: ['default', './test/support/plain-summary.ts'],
  },
});
