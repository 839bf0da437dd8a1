"""What is done to the interpreter before the handler is imported, so that it looks like the managed runtime's.

Standard streams, .pth files, the builtins that `site` would add, and the hook that sets logging up when (and only
when) something imports it.
"""

import builtins
import sys

import _frozen_importlib
import _frozen_importlib_external
import _imp
import _runtime_api
from make_runtime import garbage, handler, settings


def prepare(site_folders, customized):
    garbage.spare()
    # A print reaches the log when its line ends; what has no line end, at the end of the invocation (see loop.py).
    # stderr does that by itself. PYTHONUNBUFFERED, if set, has already made both go out at every write.
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)
    if settings.log_socket:
        from make_runtime import sink

        sink.connect_output(settings.log_socket)
    # A global of that name is what the import system finds before the builtin.
    _frozen_importlib_external.compile = _runtime_api.compile
    builtins.exit = builtins.quit = _quit
    builtins.help = _help
    sys.meta_path.insert(0, LoggingHook())
    sys.meta_path.insert(0, FilesFirst)
    sys.meta_path.append(Shims)
    if not getattr(sys, '_is_gil_enabled', _yes)():
        from make_runtime import gil

        gil.watch()
    if settings.graceful_shutdown and settings.api_address is not None:
        from make_runtime import extension

        extension.register()
    if site_folders or customized:
        import site

        if customized:
            site.execsitecustomize()
        for folder in site_folders:
            site.addsitedir(folder)


def _yes():
    return True


def _quit(code=None):
    raise SystemExit(code)


def _help(*arguments, **keywords):
    import pydoc

    return pydoc.help(*arguments, **keywords)


class FilesFirst:
    """A finder that lets a function's `resource.py` or `array.py` win over the module of that name that is linked into
    our executable, as it does on the managed runtime, where that one is a file further back on sys.path.

    Names with an underscore are left out: they are the standard library's own accelerators, imported by the dozen, and
    looking for each in every folder of the function would cost more than anybody gains."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if path is not None or name[:1] == '_' or name not in sys.builtin_module_names or handler.managed_builtin(name):
            return None
        library = sys.prefix + '/lib/'
        ahead = []
        for entry in sys.path:
            if entry.startswith(library):
                break
            ahead.append(entry)
        spec = _frozen_importlib_external.PathFinder.find_spec(name, ahead)
        # Without a loader it is only a folder, which does not win over a module anywhere on the path.
        return spec if spec is not None and spec.loader is not None else None


class Shims:
    """A finder that comes last, for modules that the managed runtime has and that code written for it imports: what the
    function ships itself is found before."""

    # Public name to frozen module; None is a package with nothing in it.
    FROZEN = {
        'snapshot_restore_py': 'make_runtime.snapshot_restore_py',
        'awslambdaric': None,
        'awslambdaric.lambda_concurrency_hooks': 'make_runtime.lambda_concurrency_hooks',
    }

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in cls.FROZEN:
            return _frozen_importlib.ModuleSpec(name, cls, origin='frozen', is_package=cls.FROZEN[name] is None)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @classmethod
    def exec_module(cls, module):
        frozen = cls.FROZEN[module.__name__]
        if frozen is not None:
            exec(_imp.get_frozen_object(frozen), module.__dict__)


class LoggingHook:
    """A finder that waits for the first import of `logging`, removes itself, and configures what was imported.

    The least intrusive way that was found: no stand-in module, nothing patched, and a handler that never logs pays
    one comparison per import. The module's spec and loader are the real ones once it is loaded.
    """

    def find_spec(self, name, path=None, target=None):
        if name != 'logging':
            return None
        sys.meta_path.remove(self)
        spec = _frozen_importlib._find_spec(name, path)
        if spec is not None and spec.loader is not None:
            self.spec, self.loader = spec, spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.spec.loader = module.__loader__ = self.loader
        try:
            self.loader.exec_module(module)
        except BaseException:
            sys.meta_path.insert(0, self)
            raise
        from make_runtime import log

        log.install(module)
