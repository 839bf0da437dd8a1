// A plan with every field in place and nothing of interest in it, for tests that need one to exist.
import type { Plan } from '../../build/recipe/model.ts';

export function samplePlan(changes: Partial<Plan> = {}): Plan {
  return {
    id: '0123456789abcdef',
    name: 'python3.13-x86_64-fast',
    recipe: '3.13',
    python: { version: '3.13.0', minor: '3.13', executable: 'python3.13' },
    flavor: 'default',
    arch: 'x86_64',
    profile: 'fast',
    builder: { engine: 'host', system: 'Debian GNU/Linux 12 (bookworm)', compiler: 'cc 12.2.0', packages: {} },
    notes: [],
    source: {
      name: 'cpython',
      version: '3.13.0',
      file: 'Python-3.13.0.tar.xz',
      size: 1,
      sha256: '0'.repeat(64),
      mirrors: [],
      licence: 'PSF-2.0',
      purl: 'pkg:generic/cpython@3.13.0',
      verifiedBy: 'nobody',
    },
    libraries: [],
    configure: [{ value: '--disable-shared', reason: 'one executable' }],
    cflags: [],
    ldflags: [],
    staticModules: { mechanism: 'buildtype', lines: [], reason: 'sample' },
    requires: [],
    withoutModules: [],
    symbolBindings: [],
    glibcFloor: '2.34',
    bootstrap: '0'.repeat(64),
    prune: [],
    epoch: 315532800,
    deflate: 'fflate@0.8.3/9',
    ...changes,
  };
}
