// Slow tests that compile one more whole interpreter, with another profile, in a container, or only to compare the bytes,
// would make an hour of `npm run test:slow` two. `npm run test:thorough` runs them as well.
import { test } from 'vitest';

export const thorough = process.env['MAKE_RUNTIME_TEST_THOROUGH'] === '1';
export const thoroughTest = test.skipIf(!thorough);
