"""The invocation under way: who asks, until when, and through which connection the answer goes.

Everything that has to know "which invocation is this" (log records, streams, the trace id in the environment) asks
current(). With one at a time it is the same from every thread, and the trace id is a real environment variable. Once
isolate() was called there may be several: each runs in a context of its own (PEP 567), and
os.environ["_X_AMZN_TRACE_ID"] answers from the one of whoever asks. Refuses to know how many there are.
"""

import posix
import sys
from _contextvars import ContextVar

import _runtime_api
from make_runtime import settings

TRACE_ID = '_X_AMZN_TRACE_ID'
_KEY = TRACE_ID.encode()

_here = ContextVar('make_runtime.invocation', default=None)
# Where there is one at a time: a thread that a handler starts does not inherit the context.
_alone = None
_isolated = False


class Invocation:
    __slots__ = (
        'status',
        'body',
        'content_type',
        'request_id',
        'invocation_id',
        'deadline_ms',
        'function_arn',
        'trace_id',
        'client_context',
        'cognito_identity',
        'tenant_id',
        'client',
        'stream',
    )

    def __init__(self, answer, client):
        """answer: what Client.next() gave. client: the connection that this invocation is answered through."""
        (
            self.status,
            self.body,
            self.content_type,
            self.request_id,
            self.invocation_id,
            self.deadline_ms,
            self.function_arn,
            self.trace_id,
            self.client_context,
            self.cognito_identity,
            self.tenant_id,
        ) = answer
        self.client = client
        self.stream = None


def current():
    """The invocation this code runs for, or None (init, or a thread of the function's own among concurrent ones)."""
    return _here.get() or _alone


def begin(invocation):
    """The caller's invocation begins, in the context in which its handler will run."""
    global _alone
    _here.set(invocation)
    if not _isolated:
        _alone = invocation
        if invocation.trace_id is None:
            settings.export(TRACE_ID, None)
        else:
            _export(invocation.trace_id)


def _export(trace_id):
    """settings.export, but for a variable that is set a million times: setenv never gives a value's memory back."""
    value = trace_id.encode('utf-8', 'surrogateescape')
    os = sys.modules.get('os')
    data = posix.environ if os is None else getattr(os.environ, '_data', None)
    if data is None:
        os.environ[TRACE_ID] = trace_id  # the function's own idea of an environment
        return
    data[_KEY] = value
    _runtime_api.put_trace_id(value)


def isolate():
    """From here on there may be several invocations at a time in this process. Called once, before the first; before
    the handler is imported, so that no copy of the environment is older than this."""
    global _isolated, _alone
    if _isolated:
        return
    _isolated = True
    _alone = None
    # os.environ is made of this very dict (os._createenviron), then or already.
    from make_runtime.environment import Environment

    posix.environ = Environment(posix.environ)
    os = sys.modules.get('os')
    if os is not None:
        os.environ._data = os.environb._data = posix.environ
