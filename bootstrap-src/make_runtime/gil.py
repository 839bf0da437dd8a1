"""Which extension module turned the GIL back on. Imported on free-threaded builds that started without it.

CPython warns by itself (Python/import.c, EnableGILAndWarn), once, on standard error. That warning is replaced by one
that is an ordinary log record, with level and request id; where the function asked for a treatment of warnings
(PYTHONWARNINGS, -W), CPython's own is left to it as well.
"""

import sys

import _frozen_importlib_external
import _warnings

# Word for word: a filter with a plain string matches the whole message. Where CPython words it differently, both appear.
THEIRS = (
    "The global interpreter lock (GIL) has been enabled to load module '%s', which has not declared that it can run "
    'safely without the GIL. To override this behavior and keep the GIL disabled (at your own risk), run with '
    'PYTHON_GIL=0 or -Xgil=0.'
)
OURS = (
    "LAMBDA_WARNING: The GIL was turned back on to load the extension module '%s', which does not declare that it can "
    'run without it: threads of this function will not run in parallel. PYTHON_GIL=0 keeps it off, at your own risk.'
)

_culprit = None


def watch():
    """From here on, loading an extension module is observed. Until report() is called nothing is said."""
    loader = _frozen_importlib_external.ExtensionFileLoader
    create = loader.create_module

    def create_module(self, spec):
        global _culprit
        if sys._is_gil_enabled():
            loader.create_module = create  # it does not go off again: nothing more to see
            return create(self, spec)
        silence = ('ignore', THEIRS % spec.name, RuntimeWarning, None, 0)
        filters = sys.modules.get('warnings', _warnings).filters  # the list that _warnings.c looks at
        if not sys.warnoptions:
            filters.insert(0, silence)
        try:
            return create(self, spec)
        finally:
            if silence in filters:
                filters.remove(silence)
            if _culprit is None and sys._is_gil_enabled():
                _culprit = spec.name
                if _reported:
                    report()

    loader.create_module = create_module


_reported = False


def report():
    """After the handler was imported. What happens later is said when it happens."""
    global _reported
    _reported = True
    if _culprit is not None:
        import logging

        logging.warning(OURS, _culprit)
