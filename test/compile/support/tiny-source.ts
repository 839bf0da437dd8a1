// A "CPython" that compiles in milliseconds: a tarball with a configure script and a Makefile that do what the build
// script relies on and nothing else, so that every way of failing can be had for real.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../../../build/lib/context.ts';
import type { ReportEvent } from '../../../build/lib/report.ts';
import type { Plan } from '../../../build/recipe/model.ts';
import { plan } from '../../../build/recipe/plan.ts';
import { bootstrap, builder, lock, packageDir, shipped } from '../../recipe/support/plans.ts';

export interface Tiny {
  readonly plan: Plan;
  readonly source: string;
  readonly ctx: Context;
  readonly events: ReportEvent[];
}

/** @param recipes shell lines: what `make` and `make install` do beside what is always needed */
export async function tinySource(
  dir: string,
  recipes: { make?: string; install?: string; platform?: string } = {},
): Promise<Tiny> {
  const root = join(dir, 'Python-3.13.0');
  await mkdir(join(root, 'Doc'), { recursive: true });
  await writeFile(join(root, 'LICENSE'), 'PSF\n');
  await writeFile(join(root, 'Doc', 'license.rst'), 'licences\n');
  await writeFile(
    join(root, 'configure'),
    '#!/bin/sh\nmkdir -p Modules\ncp ../src/Makefile.in Makefile\necho "configured with $*"\n',
    { mode: 0o755 },
  );
  const prefix = '$(DESTDIR)/opt/lang';
  await writeFile(
    join(root, 'Makefile.in'),
    [
      'MODLIBS=-lm',
      'all:',
      `\t@${recipes.make ?? 'true'}`,
      '\techo "gcc -c a.c"',
      '\ttouch libpython3.13.a',
      'platform:',
      `\t${recipes.platform ?? 'true'}`,
      'install:',
      `\tmkdir -p ${prefix}/bin ${prefix}/lib/python3.13 ${prefix}/include/python3.13`,
      // Stands for the interpreter: it is asked to compile bytecode.
      `\tprintf '#!/bin/sh\\necho compileall "$$@"\\n' > ${prefix}/bin/python3.13`,
      `\tchmod 755 ${prefix}/bin/python3.13`,
      `\techo "scratch is $$WORK" > ${prefix}/lib/python3.13/_sysconfigdata.py`,
      `\t${recipes.install ?? 'true'}`,
      '',
    ].join('\n'),
  );
  const source = join(dir, 'source.tar');
  execFileSync('tar', ['-cf', source, '-C', dir, 'Python-3.13.0']);
  const sha256 = createHash('sha256')
    .update(await readFile(source))
    .digest('hex');
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  const real = plan(await shipped('3.13'), choice, await lock(), builder, bootstrap);
  const events: ReportEvent[] = [];
  return {
    // Without libraries: a machine that has none of them can run these tests.
    plan: { ...real, libraries: [], source: { ...real.source, sha256 } },
    source,
    events,
    ctx: {
      report: (event) => void events.push(event),
      signal: new AbortController().signal,
      cacheDir: join(dir, 'cache'),
      packageDir,
      env: process.env,
      offline: true,
    },
  };
}
