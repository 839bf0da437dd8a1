"""Lambda Managed Instances: N invocations at once, as processes, threads or an event loop, or a mixture.

Decides how many pollers there are and where they live, forks, and looks after the forked. What one invocation is
(loop.py, asynchronous.py) does not change. Imported only where AWS_LAMBDA_MAX_CONCURRENCY is set.
"""

import gc
import posix
import sys
from _contextvars import copy_context

import _runtime_api
import _signal
from make_runtime import invocation, loop, settings, slots

POLLERS_MAX = 10_000  # more queued polls than that and the platform answers 500 (Runtime.TooManyIdleRuntimes)
FUTILE_MAX = 5  # worker processes in a row that ended before they got an invocation


def run(client, function, limit):
    """Never returns. client: a connection nothing was asked on yet. limit: AWS_LAMBDA_MAX_CONCURRENCY as it is."""
    loop.patient = True
    total = _number(limit)
    processes = _processes(function, total)
    _announce(processes, total)
    if processes == 1:
        _poll(function, total, client)
    try:
        for hook, arguments, keywords in _hooks():
            hook(*arguments, **keywords)
    except Exception as error:
        from make_runtime.fault import Fault

        loop.report_init_error(client, Fault('Runtime.PreForkError', str(error)), True)
        raise SystemExit(1) from None
    del client  # every worker has connections of its own
    if loop.is_async(function):
        from make_runtime import asynchronous  # noqa: F401  once, and not in every worker
    Supervisor(function, total, processes).run()


def _announce(processes, total):
    """The one event of its own that AWS's client logs (awslambdaric 4.2.2, lambda_multi_concurrent_utils.py), for those
    who ask for level DEBUG. A worker is a process there, and here."""
    if settings.log_level == 'DEBUG':
        import logging

        event = {
            'event': 'runtime_worker_pool_initializing',
            'workerCount': processes,
            'executionEnvironmentMaxConcurrency': total,
        }
        logging.getLogger().debug(event)


def _hooks():
    """(function, arguments, keywords) of every pre-fork hook, also from a client that the function brought itself."""
    registry = sys.modules.get('awslambdaric.lambda_concurrency_hooks')
    for hook in registry.get_pre_fork() if registry is not None else []:
        yield hook if isinstance(hook, tuple) else (hook, (), {})


def _number(limit):
    try:
        return min(max(int(limit), 1), POLLERS_MAX)
    except ValueError:
        loop.complain('AWS_LAMBDA_MAX_CONCURRENCY is not a number: %s' % limit)
        return 1


def _processes(function, total):
    """How many processes share `total` pollers."""
    mode = (settings.variable('AWS_LAMBDA_CONCURRENCY_MODE') or 'auto').strip().lower()
    if mode in ('thread', 'threads'):
        return 1
    if mode in ('process', 'processes'):
        return total
    if mode == 'hybrid':
        return min(cpus(), total)
    if mode != 'auto':
        loop.complain('AWS_LAMBDA_CONCURRENCY_MODE is not auto, thread, process or hybrid: %s' % mode)
    has_gil = getattr(sys, '_is_gil_enabled', bool)  # asked now: importing the handler may have turned it on
    return total if (has_gil is bool or has_gil()) and not loop.is_async(function) else 1


def cpus():
    """vCPUs of this environment, from the cgroup's quota as AWS's client counts them."""
    try:
        with open('/sys/fs/cgroup/cpu.max') as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return 1
    if quota == 'max':
        return len(posix.sched_getaffinity(0))
    return max(1, -(-int(quota) // int(period)))


# ---- within one process -----------------------------------------------------------------------------------------


def _poll(function, count, client, share=None):
    """Never returns: `count` pollers in this process."""
    clients = [client] + [loop.connection() for _ in range(count - 1)]
    if count > 1:
        loop.together = True
        invocation.isolate()
    if share is not None:
        clients = [slots.Noting(client, slot) for client, slot in zip(clients, share)]
    if loop.is_async(function):
        from make_runtime import asynchronous

        asynchronous.run(function, clients)
    if count == 1:
        while True:
            loop.serve(client := clients[0], function, loop.poll(client))
    # Before any thread is there: whichever thread imports it first is its main thread for ever.
    import threading

    threads = []
    for one in clients:
        thread = threading.Thread(target=_poll_in_thread, args=(function, one), name='invocations', daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # out of threads or memory: fewer are better than none
            loop.complain('only %d of %d invocations at once: %s' % (len(threads), count, error))
            break
        threads.append(thread)
    # The main thread waits here, where signal handlers of the function can run in it.
    for thread in threads:
        thread.join()
    raise SystemExit(1)  # every poller has lost the Runtime API, and said so


def _poll_in_thread(function, client):
    at_start = copy_context()  # of a new thread: empty, unless the interpreter lets threads inherit theirs
    like_main = False
    while True:
        taken = loop.poll(client)
        like_main = like_main or _has_event_loop()
        # A fresh one each time: what an invocation sets in its context is gone with it.
        at_start.copy().run(loop.serve, client, function, taken)


def _has_event_loop():
    """asyncio.get_event_loop() makes a loop where there is none, but in the main thread only, and from 3.14 on nowhere.
    Code that was written for one invocation at a time counts on it (Mangum does), so this thread gets one of its own,
    once the function has imported asyncio."""
    events = sys.modules.get('asyncio.events')
    if events is not None and sys.version_info < (3, 14):
        events.set_event_loop(events.new_event_loop())
    return events is not None


# ---- several processes ------------------------------------------------------------------------------------------


class Supervisor:
    """The process that imported the handler. It takes no invocation: it forks workers, which share its memory
    copy-on-write, and forks another when one dies."""

    def __init__(self, function, total, processes):
        every = slots.shared(total)
        self.function = function
        # As even as can be: 10 pollers in 4 processes are 3, 3, 2, 2.
        self.shares = [every[number::processes] for number in range(processes)]
        self.workers = {}  # pid -> its share of the slots
        self.futile = 0
        self.stopping = False
        self.told = set()  # pids that a SIGTERM was passed on to

    def run(self):
        theirs = _signal.getsignal(_signal.SIGTERM)
        # What is there now stays for ever: the collector must not touch, and so copy, the pages that workers share.
        gc.freeze()
        _signal.signal(_signal.SIGTERM, self.pass_on)
        for share in self.shares:
            if self.stopping or not self.fork(share, theirs):
                break
        while self.workers:
            pid, status = posix.waitpid(-1, 0)
            share = self.workers.pop(pid, None)
            if share is None:
                continue  # a process that the function started while it was imported
            self.bury(pid, status, share)
            if self.stopping:
                continue
            if self.futile > FUTILE_MAX:
                loop.give_up('worker processes end before they get an invocation')
            self.fork(share, theirs)
        if self.stopping:
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
            posix.kill(posix.getpid(), _signal.SIGTERM)
        raise SystemExit(1)

    def fork(self, share, theirs):
        """In the worker, never returns. False: there can be no more processes."""
        for slot in share:
            slot.reset()
        loop.flush()  # what is in a buffer now would be written by both
        supervisor = posix.getpid()
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))
        try:
            pid = posix.fork()
            if pid != 0:
                self.workers[pid] = share
                if self.stopping and pid not in self.told:  # pass_on came before it knew this one
                    posix.kill(pid, _signal.SIGTERM)
            else:
                self.workers.clear()
                _signal.signal(_signal.SIGTERM, theirs if theirs is not None else _signal.SIG_DFL)
        except OSError as error:
            loop.complain('only %d worker processes: %s' % (len(self.workers), error))
            return False
        finally:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))
        if pid == 0:
            _runtime_api.die_with_parent()
            if posix.getppid() != supervisor:
                posix._exit(1)  # it died before the kernel knew that we wanted to follow
            if settings.log_socket:  # connections of its own, so that lines of different workers do not mix
                from make_runtime import sink

                sink.connect_output(settings.log_socket)
            _poll(self.function, len(share), loop.connection(), share)
        return True

    def pass_on(self, number, frame):
        """The platform tells the process that it started; the invocations are in the others."""
        self.stopping = True
        for pid in list(self.workers):
            self.told.add(pid)
            try:
                posix.kill(pid, number)
            except ProcessLookupError:
                pass

    def bury(self, pid, status, share):
        """A worker has ended, or was killed. Its invocations are answered in its place."""
        if posix.WIFSIGNALED(status):
            how = 'signal %d' % posix.WTERMSIG(status)
        else:
            how = 'exit status %d' % posix.WEXITSTATUS(status)
        if not self.stopping:
            loop.complain('worker process %d has ended: %s' % (pid, how))
        self.futile = 0 if any(slot.ever() for slot in share) else self.futile + 1
        for slot in share:
            lost = slot.under_way()
            slot.clear()
            if lost is not None:
                self.report(lost, how)

    def report(self, lost, how):
        from make_runtime import fault

        request_id, invocation_id = lost
        error = fault.Fault(
            'Runtime.ExitError', 'RequestId: %s Error: Runtime exited with error: %s' % (request_id, how)
        )
        described, cause = fault.describe(error, request_id)
        fault.write(described)
        loop.flush()
        client = loop.connection()  # for this once: workers forked later must not find a connection in use
        answer = loop.send(client.fail, request_id, invocation_id, fault.cause_header(cause), fault.body(described))
        loop.react(answer, 'the error')
