"""From the handler string to the function: the managed runtime's rules and its exact words.

Refuses to know what happens to the errors it raises.
"""

import sys

import _frozen_importlib
import _frozen_importlib_external

# The modules that are built into the *managed* interpreters, whose names a handler may not have. Ours has many more
# linked in (math, select, zlib, ...), which must not refuse a handler that the managed runtime would run.
# Source: sys.builtin_module_names of default builds; Modules/Setup.bootstrap.in of CPython.
MANAGED_BUILTINS = frozenset(
    '_abc _ast _codecs _collections _functools _imp _io _locale _operator _signal _sre _stat _string _symtable '
    '_thread _tracemalloc _warnings _weakref atexit builtins errno faulthandler gc itertools marshal posix pwd sys '
    'time'.split()
)
MANAGED_BUILTINS_SINCE = (
    ((3, 11), '_tokenize'),
    ((3, 12), '_typing'),
    ((3, 13), '_suggestions _sysconfig'),
    ((3, 14), '_types'),
)


def managed_builtin(name):
    """Whether the managed runtime of this Python version has the module built in."""
    return name in MANAGED_BUILTINS or any(
        sys.version_info >= since and name in names.split() for since, names in MANAGED_BUILTINS_SINCE
    )


def resolve(handler):
    """The function that a handler string names. Raises fault.Fault, or whatever importing the module raises."""
    module_name, dot, function_name = handler.rpartition('.')
    if not dot:
        # The words of the ValueError that the managed runtime shows: from unpacking handler.rsplit('.', 1).
        reason = 'not enough values to unpack (expected 2, got 1)'
        raise _fault('Runtime.MalformedHandlerName', "Bad handler '%s': %s" % (handler, reason))
    try:
        if managed_builtin(module_name.split('.')[0]):
            raise _fault(
                'Runtime.BuiltInModuleConflict', 'Cannot use built-in module %s as a handler module' % module_name
            )
        module = import_module(module_name.replace('/', '.'))
    except ImportError as error:
        raise _fault('Runtime.ImportModuleError', "Unable to import module '%s': %s" % (module_name, error)) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise _fault(
            'Runtime.UserCodeSyntaxError', "Syntax error in module '%s': %s" % (module_name, error), trace
        ) from None
    gil = sys.modules.get('make_runtime.gil')  # there when we started without one
    if gil is not None:
        gil.report()
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise _fault(
            'Runtime.HandlerNotFound', "Handler '%s' missing on module '%s'" % (function_name, module_name)
        ) from None


def import_module(name):
    """importlib.import_module, without importing importlib from disk."""
    if name.startswith('.'):
        raise TypeError("the 'package' argument is required to perform a relative import for %r" % name)
    first = name.partition('.')[0]
    if first in sys.builtin_module_names and not managed_builtin(first):
        _prefer_file(first)
    return _frozen_importlib._gcd_import(name)


def _prefer_file(name):
    """Loads a module from sys.path although one of that name is linked into the executable: its file wins on the
    managed runtime, where the standard one is a file too, further back on the path."""
    spec = _frozen_importlib_external.PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        return
    linked = sys.modules.get(name)
    try:
        _frozen_importlib._load(spec)
    except BaseException:
        if linked is not None:
            sys.modules[name] = linked
        raise


def _fault(kind, message, trace=None):
    from make_runtime.fault import Fault

    return Fault(kind, message, trace)
