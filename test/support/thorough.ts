// Slow tests that compile once more what another has compiled already, to compare the bytes, would make an hour of
// `npm run test:slow` two. MAKE_RUNTIME_TEST_THOROUGH=1 runs them as well.
import { test } from 'vitest';

export const thoroughTest = test.skipIf(process.env['MAKE_RUNTIME_TEST_THOROUGH'] !== '1');
