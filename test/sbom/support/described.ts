// Statements about artifacts that nobody built: real plans, a builder with every package, upstream's real SBOM.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Builder, Flavor, Plan } from '../../../build/recipe/model.ts';
import { plan } from '../../../build/recipe/plan.ts';
import { type Bundled, bundledFrom } from '../../../build/sbom/bundled.ts';
import type { Described } from '../../../build/sbom/cyclonedx.ts';
import { componentsOf } from '../../../build/sbom/inventory.ts';
import type { Wheel } from '../../../build/sbom/wheels.ts';
import { fileOf, makeTree, type Tree } from '../../../build/tree/tree.ts';
import { bootstrap, builder, lock, shipped } from '../../recipe/support/plans.ts';

/** As Debian 12 has them. */
export const debian: Builder = {
  ...builder,
  packages: {
    'libbz2-dev': '1.0.8-5+b1',
    'libffi-dev': '3.4.4-1',
    'liblzma-dev': '5.4.1-1',
    'libsqlite3-dev': '3.40.1-2+deb12u2',
    'libssl-dev': '3.0.19-1~deb12u2',
    'libzstd-dev': '1.5.4+dfsg2-5',
    'uuid-dev': '2.38.1-5+deb12u3',
    'zlib1g-dev': '1:1.2.13.dfsg-1',
  },
};

export async function planFor(recipe: string, flavor: Flavor = 'default', machine: Builder = debian): Promise<Plan> {
  return plan(await shipped(recipe), { flavor, arch: 'x86_64', profile: 'fast' }, await lock(), machine, bootstrap);
}

const upstream = join(import.meta.dirname, '..', 'fixtures', 'sbom-3.13.15.spdx.json');

/**
 * What CPython 3.13.15 brings along: Misc/sbom.spdx.json with fewer of its files, and the lines of other files that
 * are read.
 */
export async function release(): Promise<Map<string, string>> {
  return new Map([
    ['LICENSE', 'PSF'],
    ['Misc/sbom.spdx.json', await readFile(upstream, 'utf8')],
    ['Modules/expat/COPYING', 'Copyright (c) Expat maintainers\n'],
    ['Modules/_hacl/Hacl_Hash_SHA2.c', '/* MIT License\n *\n * Copyright (c) INRIA\n */\n\n#include "x.h"\n'],
    ['Modules/_blake2/impl/blake2b-ref.c', '/*\n   You should have received the CC0 Public Domain Dedication\n*/\n'],
    ['Modules/_decimal/libmpdec/mpdecimal.h', '/*\n * Redistribution and use\n */\n#define MPD_VERSION "2.5.1"\n'],
    ['Modules/md5module.c', '/* MD5 module */\n'],
    ['Include/internal/mimalloc/mimalloc.h', '/* MIT */\n#define MI_MALLOC_VERSION 212   // major + 2 digits minor\n'],
  ]);
}

export const bundled = async (): Promise<Bundled> => bundledFrom(await release());

/** What a tree needs for nothing to be missing from an inventory. */
export const tree = (executable: string): Tree => makeTree([[`lib/${executable}/os.py`, fileOf('')]]);

export const boto3: Wheel = {
  name: 'boto3',
  version: '1.40.1',
  sha256: 'a'.repeat(64),
  url: 'https://files.pythonhosted.org/packages/boto3-1.40.1-py3-none-any.whl',
  licence: 'Apache-2.0',
  texts: ['lib/python3.13/site-packages/boto3-1.40.1.dist-info/licenses/LICENSE'],
};

/** Everything about a layer of a plan that the formats are written from. */
export async function describedFor(made: Plan, wheels: readonly Wheel[] = []): Promise<Described> {
  return {
    plan: made,
    version: '0.1.0',
    artifact: { kind: 'layer', file: 'layer.zip', sha256: '1'.repeat(64), home: 'lang' },
    program: { path: `bin/${made.python.executable}`, sha256: '2'.repeat(64) },
    components: componentsOf({
      plan: made,
      bundled: await bundled(),
      tree: tree(made.python.executable),
      wheels,
      version: '0.1.0',
    }),
  };
}
