// Run by a test that kills it: fetches the source given as JSON into the cache folder given.
import type { Source } from '../../../build/recipe/model.ts';
import { fetchSource } from '../../../build/source/download.ts';

const [cacheDir = '', source = ''] = process.argv.slice(2);
await fetchSource(JSON.parse(source) as Source, {
  report: () => {},
  signal: new AbortController().signal,
  cacheDir,
  packageDir: '/nowhere',
  env: {},
  offline: false,
});
