"""`awslambdaric.lambda_concurrency_hooks`: what code for AWS's client imports to be called before workers are forked.

Found through loop.PreForkHooks, and only where the function does not bring AWS's client itself. Refuses to know what
forking is: concurrency.py calls the hooks.
"""

import sys

NAME = 'awslambdaric.lambda_concurrency_hooks'

registered = []


def register_pre_fork(function, *arguments, **keywords):
    """As a decorator or a call. Hooks run in the order in which they were registered."""
    registered.append((function, arguments, keywords))
    return function


def get_pre_fork():
    return list(registered)


class Loader:
    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        if module.__name__ == NAME:
            module.register_pre_fork = register_pre_fork
            module.get_pre_fork = get_pre_fork


def hooks():
    """What is to be called, also where the function brought a client of its own with such a registry."""
    theirs = sys.modules.get(NAME)
    listed = getattr(theirs, 'get_pre_fork', get_pre_fork)()
    for hook in listed:
        function, arguments, keywords = hook if isinstance(hook, tuple) else (hook, (), {})
        yield lambda: function(*arguments, **keywords)
