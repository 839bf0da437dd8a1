// The shell programs that put a process into the sandbox, and the command lines around them. POSIX sh only: dash, bash
// and busybox must all do. Text in, text out; nothing runs here.
//
// File descriptors while a sandbox starts:
//   3  held open by us; its end tells the namespace's first process, and so the whole namespace, to die
//   4  what the programs tell us, line by line: `holder <pid>`, `go`, `missing`, error texts
//   5  the last program, with the function's environment in it: never on a command line, where others could read it
import { lambdaUser, type PrivateRoot, renderBubblewrap } from './private-root.ts';

export type SandboxKind = 'namespace' | 'bubblewrap' | 'mapped';

/** Runs the program that arrives on descriptor 5. */
const runFive = 'eval "$(cat <&5)"';

/**
 * Assembles the private root in a new mount namespace and starts the last program in it and in a new process namespace.
 * Arguments: fstab, root, cgroup.procs or nothing, a line for binfmt_misc or nothing, then the command that gives up
 * privileges. binfmt_misc stays mounted: its handlers live as long as it is (and only for this user namespace).
 *
 * Children of this shell are in the new process namespace, the shell itself is not; its first child therefore is the
 * namespace's process 1, and must be the one that lives longest: when it ends, the kernel kills all others.
 * The shell waits for the function. Its own messages go to descriptor 4, so that it is known whether the function was
 * killed (shells then say so) or ended with a status above 128 by itself. The parentheses matter: dash applies a
 * command's own redirections to itself before it says so.
 */
const assemble = `
fstab=$1 root=$2 group=$3 handler=$4
shift 4
exec 6>&2 2>&4
[ -z "$group" ] || echo $$ >"$group"
(trap '' CHLD; exec cat <&3 >/dev/null 4>&- 5<&- 6>&-) &
echo "holder $!" >&4
mount --all --fstab "$fstab" || exit 70
if [ -n "$handler" ]; then
  mount -t binfmt_misc binfmt_misc "$root/proc/sys/fs/binfmt_misc" || exit 72
  printf %s "$handler" >"$root/proc/sys/fs/binfmt_misc/register" || exit 73
fi
cd "$root" && pivot_root . mnt && cd / && umount -l /mnt && cd /var/task || exit 71
(exec "$@" /bin/sh -c '${runFive}' 2>&6 6>&-)
exit $?
`;

const hostTools = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A command line for spawn, without the function in it. */
export interface Wrapper {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Mount and process namespace through util-linux. `asRoot` drops to Lambda's user, else a user namespace maps to it.
 * `handler` needs the latter.
 */
export function namespaceWrapper(
  fstab: string,
  skeleton: string,
  joinFile: string | undefined,
  asRoot: boolean,
  handler = '',
): Wrapper {
  const { uid, gid } = lambdaUser;
  const drop = asRoot
    ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all']
    : ['unshare', `--map-user=${uid}`, `--map-group=${gid}`, 'setpriv'];
  const spaces = [...(asRoot ? [] : ['--user', '--map-root-user']), '--mount', '--pid', '--propagation', 'private'];
  return {
    file: 'unshare',
    args: [
      ...spaces,
      '/bin/sh',
      '-c',
      assemble,
      'sh',
      fstab,
      skeleton,
      joinFile ?? '',
      handler,
      ...drop,
      '--no-new-privs',
    ],
    env: { PATH: hostTools },
  };
}

/** Bubblewrap: for hosts that allow it what they deny to others (setuid, or an AppArmor profile of its own). */
export function bubblewrapWrapper(command: string, root: PrivateRoot): Wrapper {
  const { uid, gid } = lambdaUser;
  return {
    file: command,
    args: [
      ...['--unshare-user', '--uid', String(uid), '--gid', String(gid), '--unshare-pid', '--die-with-parent'],
      ...renderBubblewrap(root),
      ...['--remount-ro', '/', '--chdir', '/var/task', '--', '/bin/sh', '-c', runFive],
    ],
    env: { PATH: hostTools },
  };
}

/** No isolation at all. */
export function mappedWrapper(): Wrapper {
  return { file: '/bin/sh', args: ['-c', runFive], env: { PATH: hostTools } };
}

/**
 * The last program: limits, environment, the word `go`, and the command in its own place.
 * `go` is written directly before exec, so the time from it to the first `next` is too long by what a shell needs to
 * get from a write to an exec (about 0.1 ms) and by the difference of two wake-ups of our event loop.
 */
export function lastProgram(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  { mergeOutput }: { mergeOutput: boolean },
): string {
  const [file = ''] = argv;
  return [
    // What the shells before this one have exported by themselves.
    'unset PWD OLDPWD SHLVL PATH',
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}`),
    'umask 022',
    // Lambda allows 1,024 of each (Developer Guide: gettingstarted-limits). dash spells the second one -p.
    'ulimit -n 1024 2>/dev/null',
    '{ ulimit -u 1024 || ulimit -p 1024; } 2>/dev/null',
    'ulimit -c 0 2>/dev/null',
    ...(file.startsWith('/') ? [`[ -x ${quoted(file)} ] || { echo missing >&4; exit 127; }`] : []),
    'echo go >&4',
    `exec ${argv.map(quoted).join(' ')}${mergeOutput ? ' 2>&1' : ''} 3<&- 4>&- 5<&-`,
    '',
  ].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
