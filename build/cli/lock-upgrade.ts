// `make-runtime lock --upgrade`: a table of what would change; writes it with --write, and tells CI with --check.
import { columns } from '../lib/columns.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { recipeNames } from '../recipe/load.ts';
import { lockPath, readLock, writeLock } from '../source/lock.ts';
import { applyUpgrades, findUpgrades, type UpgradeRow, upgradeError } from '../source/upgrade.ts';
import type { Edge } from './edge.ts';
import type { LockOptions } from './lock.ts';

export async function upgrade(options: LockOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const pins = await readLock(ctx.packageDir);
  const rows = await findUpgrades(pins, await recipeNames(ctx.packageDir), ctx, {
    ...(options.upstream === undefined ? {} : { upstream: folderUrl(options.upstream) }),
    ...(options.trustedRoot === undefined ? {} : { trustRoot: options.trustedRoot }),
  });
  const failure = upgradeError(rows);
  const found = rows.filter(({ pin }) => pin !== undefined);
  // All or nothing: a lock with half of what was announced would hide that something was wrong.
  const written = options.write === true && !failure && found.length > 0;
  if (written) await writeLock(ctx.packageDir, applyUpgrades(pins, rows));

  if (edge.json) edge.print(JSON.stringify({ written, series: rows.map(asJson) }));
  else edge.print(table(rows));
  if (failure) throw failure;
  if (written) edge.say(`${lockPath(ctx.packageDir)}: ${count(found.length)} added. Review it and commit it.`);
  else if (found.length === 0) edge.say('Every series is pinned at its newest release.');
  else if (options.check) {
    throw new MakeRuntimeError('LOCK_STALE', `Upstream has ${count(found.length)} that the lock file does not pin.`, {
      remedy: 'Run `make-runtime lock --upgrade --write` and commit recipes/sources.lock.json.',
      detail: found.map(({ series, from, to }) => `${series}: ${from ?? 'none'} -> ${to}`).join('\n'),
    });
  } else edge.say('Nothing was written; `make-runtime lock --upgrade --write` pins these.');
}

/** A folder, which relative links count from: with a slash at its end. */
function folderUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '') {
    throw new MakeRuntimeError('USAGE', '--upstream is not the http or https address of a folder.', {
      remedy: 'Write it like https://www.python.org/ftp/python/, without user name, password or query.',
    });
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

function asJson({ series, from, to, pin, signature, failure }: UpgradeRow): object {
  return {
    series,
    from: from ?? null,
    to: to ?? null,
    state: failure ? 'refused' : pin ? 'newer' : 'current',
    ...(pin ? { pin } : {}),
    ...(signature ? { signature } : {}),
    ...(failure ? { failure: { code: failure.code, message: failure.message, detail: failure.detail } } : {}),
  };
}

function table(rows: readonly UpgradeRow[]): string {
  const head = ['series', 'pinned', 'upstream', 'bytes', 'sha256', 'signed by'];
  const body = rows.map(({ series, from, to, pin, signature, failure }) => [
    series,
    from ?? 'none',
    to ?? 'none',
    pin ? String(pin.size) : '',
    pin?.sha256 ?? (failure ? `refused: ${failure.code}` : 'up to date'),
    signature ? `${signature.email}, ${signature.log} ${signature.logIndex}` : '',
  ]);
  return columns([head, ...body]).join('\n');
}

function count(n: number): string {
  return `${n} ${n === 1 ? 'release' : 'releases'}`;
}
