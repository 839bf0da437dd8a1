"""The environment of a process with several invocations at a time: the trace id in it is the current invocation's.

Refuses to know when it takes the place of the ordinary one (invocation.isolate()).
"""

from make_runtime import invocation

_KEY = invocation.TRACE_ID.encode()


def _trace_id():
    under_way = invocation.current()
    return None if under_way is None else under_way.trace_id


class Environment(dict):
    """The dict below os.environ and os.environb, in which the trace id is the current invocation's.

    Only what os._Environ (and dict itself, when copied) calls is overridden. Setting and deleting hold for the
    invocation that does it; os.environ also calls putenv then, but nobody reads the process's variable."""

    __slots__ = ()

    def __getitem__(self, key):
        if key != _KEY:
            return dict.__getitem__(self, key)
        value = _trace_id()
        if value is None:
            raise KeyError(key)
        return value.encode('utf-8', 'surrogateescape')

    def __setitem__(self, key, value):
        under_way = invocation.current()
        if key != _KEY:
            dict.__setitem__(self, key, value)
        elif under_way is not None:
            under_way.trace_id = value.decode('utf-8', 'surrogateescape')

    def __delitem__(self, key):
        if key != _KEY:
            dict.__delitem__(self, key)
        elif _trace_id() is None:
            raise KeyError(key)
        else:
            invocation.current().trace_id = None

    def __contains__(self, key):
        return dict.__contains__(self, key) if key != _KEY else _trace_id() is not None

    def __iter__(self):
        # A list made in one go, because another thread may set a variable meanwhile; os._Environ takes one too.
        keys = [key for key in list(dict.keys(self)) if key != _KEY]
        if _trace_id() is not None:
            keys.append(_KEY)
        return iter(keys)

    def __len__(self):
        return dict.__len__(self) - dict.__contains__(self, _KEY) + (_trace_id() is not None)

    def keys(self):
        return list(self)

    def items(self):
        return [(key, dict.get(self, key) if key != _KEY else self[key]) for key in self]
