/* The program Lambda starts: a CPython interpreter and a Runtime API client in one executable.
 *
 * Called as `bootstrap` it starts Python with the search path of the managed runtime and hands over to the frozen
 * policy package make_runtime; called by any other name it is an ordinary python3. Refuses to know HTTP, JSON and
 * what a handler is.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frozen.h"

#ifdef Py_GIL_DISABLED
#define ABI_THREAD "t" /* lib/python3.13t, as configure --disable-gil installs it */
#else
#define ABI_THREAD ""
#endif
#define STRINGIFY(x) #x
#define STRING(x) STRINGIFY(x)
#define PYTHON_PLAIN "python" STRING(PY_MAJOR_VERSION) "." STRING(PY_MINOR_VERSION)
#define PYTHON_NAME PYTHON_PLAIN ABI_THREAD

/* getpath.py of 3.11 and 3.12 throws PyConfig.stdlib_dir away when the search path is given, and frozen modules then
   have no __file__ and no __path__ (fixed in 3.13: "stdlib_dir_was_set_in_config"). There, getpath derives everything
   from `home`, and sys.path is replaced before anything was imported from it. */
#define GETPATH_DROPS_STDLIB_DIR (PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030d0000)

#define PATHS_MAX 64 /* folders on sys.path; more entries of PYTHONPATH than fit are ignored */

PyMODINIT_FUNC PyInit__runtime_api(void);

/* ---- both modes --------------------------------------------------------------------------------------------- */

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("make-runtime bootstrap: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* Before 3.11 the variable holds CPython's own table, which must stay in it; later it is NULL and only for additions
   (Doc/c-api/import.rst). */
static void register_frozen_modules(void)
{
    size_t theirs = 0;
    if (PyImport_FrozenModules == NULL) {
        PyImport_FrozenModules = make_runtime_frozen;
        return;
    }
    while (PyImport_FrozenModules[theirs].name != NULL) {
        theirs++;
    }
    struct _frozen *all = calloc(theirs + make_runtime_frozen_count + 1, sizeof *all); /* lives as long as we do */
    if (all == NULL) {
        die("out of memory");
    }
    memcpy(all, PyImport_FrozenModules, theirs * sizeof *all);
    memcpy(all + theirs, make_runtime_frozen, (make_runtime_frozen_count + 1) * sizeof *all);
    PyImport_FrozenModules = all;
}

/* The linked OpenSSL looks for certificates where the builder's distribution keeps them (Debian: /usr/lib/ssl), which
   Amazon Linux does not have. Whoever sets one of the variables knows better. Goes when OpenSSL is built by us, with
   its folder at /etc/pki/tls. */
static void find_certificates(void)
{
    static const char bundle[] = "/etc/pki/tls/certs/ca-bundle.crt";
    if (getenv("SSL_CERT_FILE") == NULL && getenv("SSL_CERT_DIR") == NULL && access(bundle, R_OK) == 0) {
        setenv("SSL_CERT_FILE", bundle, 1);
    }
}

/* ---- where things are --------------------------------------------------------------------------------------- */

typedef struct {
    char *executable, *home, *stdlib, *home_site, *dynload;
    const char *task_root;
    const char *paths[PATHS_MAX]; /* what becomes sys.path, in order */
    size_t paths_count;
    const char *site_folders[PATHS_MAX]; /* those of them in which the managed runtime looks for .pth files */
    size_t site_folders_count;
} places;

static char *joined(const char *folder, const char *rest)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", folder, rest) < 0) {
        die("out of memory");
    }
    return path;
}

static void add_path(places *p, const char *path, bool site_folder)
{
    for (size_t i = 0; i < p->paths_count; i++) {
        if (strcmp(p->paths[i], path) == 0) {
            return;
        }
    }
    if (p->paths_count == PATHS_MAX) {
        return;
    }
    p->paths[p->paths_count++] = path;
    if (site_folder) {
        p->site_folders[p->site_folders_count++] = path;
    }
}

/* Strings live until the process ends: they are few, and needed until Python has copied them. */
static void find_places(places *p)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        die("cannot read /proc/self/exe: %s", strerror(errno));
    }
    self[length] = '\0';
    p->executable = joined(self, "");
    for (int levels = 0; levels < 2; levels++) { /* <home>/bin/<exe> */
        char *slash = strrchr(self, '/');
        if (slash == NULL) {
            die("%s is not <home>/bin/<executable>", p->executable);
        }
        *slash = '\0';
    }
    p->home = joined(self, "");
    p->stdlib = joined(p->home, "/lib/" PYTHON_NAME);
    p->home_site = joined(p->stdlib, "/site-packages");
    p->dynload = joined(p->stdlib, "/lib-dynload");

    p->task_root = getenv("LAMBDA_TASK_ROOT");
    if (p->task_root == NULL || p->task_root[0] == '\0') {
        p->task_root = "/var/task";
    }
    const char *layers = getenv("MAKE_RUNTIME_LAYER_ROOT");
    if (layers == NULL || layers[0] == '\0') {
        layers = "/opt";
    }

    /* The order of the managed runtime's own bootstrap.py: task root, then the layers' folders, unless PYTHONPATH
       says otherwise, then the standard library. */
    add_path(p, p->task_root, true);
    const char *python_path = getenv("PYTHONPATH");
    if (python_path == NULL) {
#ifdef Py_GIL_DISABLED
        /* Wheels for free-threaded builds are cp313t; a layer may carry both kinds. */
        add_path(p, joined(layers, "/python/lib/" PYTHON_NAME "/site-packages"), true);
#endif
        add_path(p, joined(layers, "/python/lib/" PYTHON_PLAIN "/site-packages"), true);
        add_path(p, joined(layers, "/python"), true);
    } else if (python_path[0] != '\0') {
        char *rest = joined(python_path, ""), *entry;
        while ((entry = strsep(&rest, ":")) != NULL) {
            add_path(p, entry, false);
        }
    }
    add_path(p, p->stdlib, false);
    add_path(p, p->dynload, false); /* empty in what we build; costs nothing until an import has failed before it */
    add_path(p, p->home_site, true);
}

/* Importing `site` and scanning folders through it costs more than our whole start, and most functions have no .pth
   file: look here, and import it only when there is one. */
static bool has_startup_file(const char *folder)
{
    DIR *entries = opendir(folder);
    bool found = false;
    if (entries == NULL) {
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        found = dot != NULL && dot != entry->d_name && strcmp(dot, ".pth") == 0;
#if PY_VERSION_HEX >= 0x030f0000
        found = found || (dot != NULL && dot != entry->d_name && strcmp(dot, ".start") == 0); /* PEP 829 */
#endif
    }
    closedir(entries);
    return found;
}

/* ---- Lambda mode -------------------------------------------------------------------------------------------- */

static void check(PyStatus status)
{
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

static void set(PyConfig *config, wchar_t **field, const char *text)
{
    check(PyConfig_SetBytesString(config, field, text));
}

/* List of the folders for which `wanted` says yes (NULL: all of them), or NULL with an exception. */
static PyObject *path_list(const char *const *paths, size_t count, bool (*wanted)(const char *))
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (wanted != NULL && !wanted(paths[i])) {
            continue;
        }
        PyObject *path = PyUnicode_DecodeFSDefault(paths[i]);
        if (path == NULL || PyList_Append(list, path) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(path);
    }
    return list;
}

/* An interpreter that finds everything where we say and searches for nothing, but obeys the PYTHON* switches a
   function may set (isolated mode would ignore PYTHON_GIL, PYTHON_JIT, PYTHONWARNINGS and the rest). */
static void start_python(const places *p, int argc, char **argv)
{
    PyPreConfig before;
    PyPreConfig_InitPythonConfig(&before); /* locale and UTF-8 mode by CPython's rules: PEP 538, PEP 540 */
    before.parse_argv = 0;
    check(Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.site_import = 0;
    config.user_site_directory = 0;
    config.write_bytecode = 0; /* /var/task and /opt are read-only */
    config.pathconfig_warnings = 0;
    config.interactive = 0;
#if PY_VERSION_HEX >= 0x030b0000
    config.safe_path = 1;
    config.use_frozen_modules = 1;
#endif
    check(PyConfig_SetBytesArgv(&config, argc, argv));

    /* Every field that getpath would otherwise search for, and PYTHONHOME and PYTHONPLATLIBDIR override. */
    set(&config, &config.program_name, p->executable);
    set(&config, &config.executable, p->executable);
    set(&config, &config.base_executable, p->executable);
    set(&config, &config.home, p->home);
#if !GETPATH_DROPS_STDLIB_DIR
    set(&config, &config.prefix, p->home);
    set(&config, &config.exec_prefix, p->home);
    set(&config, &config.base_prefix, p->home);
    set(&config, &config.base_exec_prefix, p->home);
#endif
    set(&config, &config.platlibdir, "lib");
#if PY_VERSION_HEX >= 0x030b0000
    set(&config, &config.stdlib_dir, p->stdlib);
#endif
#if !GETPATH_DROPS_STDLIB_DIR
    config.module_search_paths_set = 1;
    for (size_t i = 0; i < p->paths_count; i++) {
        wchar_t *path = Py_DecodeLocale(p->paths[i], NULL);
        if (path == NULL) {
            die("cannot decode the path %s", p->paths[i]);
        }
        check(PyWideStringList_Append(&config.module_search_paths, path));
        PyMem_RawFree(path);
    }
#endif
    PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    check(status);
#if GETPATH_DROPS_STDLIB_DIR
    PyObject *paths = path_list(p->paths, p->paths_count, NULL);
    if (paths == NULL || PySys_SetObject("path", paths) < 0) {
        PyErr_Print();
        die("cannot set sys.path");
    }
    Py_DECREF(paths);
#endif
}

/* make_runtime.main(handler, folders with .pth files). New reference or NULL with an exception. */
static PyObject *call_policy(const places *p, const char *handler)
{
    PyObject *result = NULL, *module = NULL;
    PyObject *folders = path_list(p->site_folders, p->site_folders_count, has_startup_file);
    if (folders != NULL) {
        module = PyImport_ImportModule("make_runtime");
    }
    if (module != NULL) {
        result = PyObject_CallMethod(module, "main", "zO", handler, folders);
    }
    Py_XDECREF(module);
    Py_XDECREF(folders);
    return result;
}

/* As Py_RunMain ends: SystemExit gives its status, an unhandled KeyboardInterrupt dies of SIGINT, the rest is 1. */
static int run_lambda(int argc, char **argv)
{
    places p = {0};
    find_places(&p);
    /* An image may name the handler as its CMD when our program itself is the ENTRYPOINT. */
    const char *handler = getenv("_HANDLER");
    if ((handler == NULL || handler[0] == '\0') && argc > 1) {
        handler = argv[1];
    }
    start_python(&p, argc, argv);
    PyObject *result = call_policy(&p, handler);
    int status = 0;
    bool keyboard_interrupt = false;
    if (result == NULL) {
        status = 1;
        keyboard_interrupt = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
        PyErr_Print(); /* does not return for SystemExit */
    }
    Py_XDECREF(result);
    if (Py_FinalizeEx() < 0) {
        status = 120; /* what Py_RunMain says when the last flush failed */
    }
    if (keyboard_interrupt) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    return status;
}

int main(int argc, char **argv)
{
    if (PyImport_AppendInittab("_runtime_api", PyInit__runtime_api) < 0) {
        die("out of memory");
    }
    register_frozen_modules();
    find_certificates();
    const char *name = argc > 0 ? argv[0] : "";
    const char *slash = strrchr(name, '/');
    if (strcmp(slash != NULL ? slash + 1 : name, "bootstrap") == 0) {
        return run_lambda(argc, argv);
    }
    /* The recipes leave out the coloured prompt of 3.13 (_pyrepl); without this, starting it would fail. */
    setenv("PYTHON_BASIC_REPL", "1", 0);
    return Py_BytesMain(argc, argv);
}
