"""Which invocation is under way: its request id, trace id and tenant, for log records and for os.environ.

On demand there is one at a time, so they are plain globals, which every thread of the handler sees, and the trace id is
a real environment variable. With several at a time (isolate() was called) they are context variables, and
os.environ["_X_AMZN_TRACE_ID"] answers from the one of whoever asks. Refuses to know where they come from.
"""

import posix
import sys

from make_runtime import settings

TRACE_ID = '_X_AMZN_TRACE_ID'

_none = (None, None, None)
_now = _none  # (request id, trace id, tenant id), while there is one at a time
_here = None  # the context variable that holds the same, once there are several


def enter(request_id, trace_id=None, tenant_id=None):
    """The caller's invocation begins. Called in the context (with several at a time: and for each, in one of its own)
    in which its handler will run."""
    global _now
    if _here is not None:
        _here.set((request_id, trace_id, tenant_id))
        return
    _now = (request_id, trace_id, tenant_id)
    settings.export(TRACE_ID, trace_id)


def _current():
    return _now if _here is None else _here.get()


def request_id():
    return _current()[0]


def trace_id():
    return _current()[1]


def tenant_id():
    return _current()[2]


def isolate():
    """From here on there may be several invocations at a time in this process. Called once, before the first; before
    the handler is imported, so that no copy of the environment is older than this."""
    global _here
    if _here is not None:
        return
    from _contextvars import ContextVar

    _here = ContextVar('make_runtime_invocation', default=_none)
    # os.environ is made of this very dict (os._createenviron), then or already.
    posix.environ = _Environment(posix.environ)
    os = sys.modules.get('os')
    if os is not None:
        os.environ._data = os.environb._data = posix.environ


_KEY = TRACE_ID.encode()


class _Environment(dict):
    """The dict below os.environ and os.environb, in which the trace id is the current invocation's.

    Only what os._Environ (and dict itself, when copied) calls is overridden. Setting and deleting hold for the
    invocation that does it; os.environ also calls putenv then, but nobody reads the process's variable."""

    __slots__ = ()

    def __getitem__(self, key):
        if key != _KEY:
            return dict.__getitem__(self, key)
        value = trace_id()
        if value is None:
            raise KeyError(key)
        return value.encode('utf-8', 'surrogateescape')

    def __setitem__(self, key, value):
        if key != _KEY:
            dict.__setitem__(self, key, value)
        else:
            now = _here.get()
            _here.set((now[0], value.decode('utf-8', 'surrogateescape'), now[2]))

    def __delitem__(self, key):
        if key != _KEY:
            dict.__delitem__(self, key)
        elif trace_id() is None:
            raise KeyError(key)
        else:
            now = _here.get()
            _here.set((now[0], None, now[2]))

    def __contains__(self, key):
        return dict.__contains__(self, key) if key != _KEY else trace_id() is not None

    def __iter__(self):
        # A list made in one go, because another thread may set a variable meanwhile; os._Environ takes one too.
        keys = [key for key in list(dict.keys(self)) if key != _KEY]
        if trace_id() is not None:
            keys.append(_KEY)
        return iter(keys)

    def __len__(self):
        return dict.__len__(self) - dict.__contains__(self, _KEY) + (trace_id() is not None)

    def keys(self):
        return list(self)

    def items(self):
        return [(key, dict.get(self, key) if key != _KEY else self[key]) for key in self]
