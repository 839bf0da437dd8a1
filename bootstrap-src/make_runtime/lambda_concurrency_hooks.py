"""`awslambdaric.lambda_concurrency_hooks`: what code for AWS's client imports to be called before workers are forked.

Found through startup.Shims, and only where the function does not bring AWS's client itself. Refuses to know what forking
is: concurrency.py calls the hooks.
"""

_registered = []


def register_pre_fork(function, *arguments, **keywords):
    """As a decorator or a call. Hooks run in the order in which they were registered."""
    _registered.append((function, arguments, keywords))
    return function


def get_pre_fork():
    return list(_registered)
