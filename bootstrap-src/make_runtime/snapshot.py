"""SnapStart: the function's hooks around the snapshot, and what else must differ between the clones of one.

Imported when AWS_LAMBDA_INITIALIZATION_TYPE says so. Refuses to know who takes the snapshot: it only waits.
"""

import sys

from make_runtime import fault, platform_request, settings

BEFORE_FAILED = 64
AFTER_FAILED = 65


def wait(client):
    """Between importing the handler and the first `next`. Returns in a restored clone, or ends the process."""
    # The function's own copy of the package if it ships one, else ours (startup.Shims), else nobody has hooks.
    hooks = sys.modules.get('snapshot_restore_py')
    try:
        before = hooks.get_before_snapshot() if hooks is not None else []
        while before:  # last registered, first called
            function, arguments, keywords = before.pop()
            function(*arguments, **keywords)
        status, _, body = platform_request.ask(settings.api_address, 'GET', '/2018-06-01/runtime/restore/next')
        if status != 200:
            raise platform_request.Unanswered('restore/next: status %d, %s' % (status, body[:1024].decode('utf-8', 'replace')))
    except BaseException as error:
        described = _described(error)
        client.init_fail('Runtime.BeforeSnapshotError', fault.body(described))
        raise SystemExit(BEFORE_FAILED) from None
    _reseed()
    try:
        for function, arguments, keywords in hooks.get_after_restore() if hooks is not None else []:
            function(*arguments, **keywords)
    except BaseException as error:
        described = _described(error)
        headers = [
            ('Content-Type', 'application/json'),
            ('Lambda-Runtime-Function-Error-Type', 'Runtime.AfterRestoreError'),
        ]
        path = '/2018-06-01/runtime/restore/error'
        platform_request.ask(settings.api_address, 'POST', path, headers, fault.body(described))
        raise SystemExit(AFTER_FAILED) from None


def _described(error):
    described, _ = fault.describe(error)
    fault.write(described)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function replaced, removed or closed it
    return described


def _reseed():
    """Every clone woke up with the same generators. The kernel's own were told (VMGENID); those above it were not.
    Generators that the function made itself are its own affair: that is what after_restore hooks are for."""
    import posix

    for name, reseed in (
        ('random', lambda random: random.seed()),
        ('numpy.random', lambda random: random.seed()),
        ('_ssl', lambda ssl: ssl.RAND_add(posix.urandom(48), 48.0)),
    ):
        module = sys.modules.get(name)
        if module is not None:
            try:
                reseed(module)
            except Exception as error:
                sys.stderr.write('LAMBDA_RUNTIME cannot reseed %s: %s\n' % (name, error))
