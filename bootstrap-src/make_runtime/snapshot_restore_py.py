"""What `import snapshot_restore_py` gives where the function does not ship AWS's package of that name: the same
functions, registering hooks around a SnapStart snapshot. See startup.Shims and snapshot.py."""

__version__ = '1.0.0'
__all__ = ['register_before_snapshot', 'register_after_restore']

_before_snapshot_registry = []
_after_restore_registry = []


def register_before_snapshot(func, *args, **kwargs):
    """func(*args, **kwargs) will be called before the snapshot, last registered first. Returns func: a decorator."""
    _before_snapshot_registry.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """func(*args, **kwargs) will be called after each restore, first registered first. Returns func: a decorator."""
    _after_restore_registry.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot_registry


def get_after_restore():
    return _after_restore_registry
