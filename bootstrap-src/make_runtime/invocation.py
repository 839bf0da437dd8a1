"""The invocation under way: who asks, until when, and through which connection the answer goes.

Everything that has to know "which invocation is this" (log records, streams) asks current(). Refuses to know how many
there are at once: that is decided once, at init, and only changes where the answer is kept.
"""

from _contextvars import ContextVar

# Where several invocations share the process, each runs in a context of its own (PEP 567) and this tells them apart.
_here = ContextVar('make_runtime.invocation', default=None)
# Where there is one at a time, it is the same from every thread, as with the managed runtime's globals: a thread that
# a handler starts does not inherit the context.
_alone = None


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
    """For processes with one invocation at a time."""
    global _alone
    _alone = invocation


def begin_here(invocation):
    """For one of several: in the context of the caller only."""
    _here.set(invocation)
