/* The program Lambda starts: a CPython interpreter and a Runtime API client in one executable.
 *
 * Called as `bootstrap`, or as an interpreter whose script is the bootstrap (that is how wrappers see it), it starts
 * Python with the search path of the managed runtime and hands over to the frozen policy package make_runtime; called
 * otherwise it is an ordinary python3. Refuses to know HTTP, JSON and what a handler is.
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
#include <sys/stat.h>
#include <unistd.h>

#include "frozen.h"
#include "memory.h"

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
    bool customized; /* a sitecustomize module where the managed interpreter would find one */
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

/* The module that `site` imports at every start of a managed interpreter, which sees PYTHONPATH and its own
   site-packages at that moment: OpenTelemetry's wrapper instruments a function through it. Looked for here because
   `site` itself is only imported when needed. */
static bool has_sitecustomize(const char *folder)
{
    static const char *const forms[] = {"/sitecustomize.py", "/sitecustomize.pyc", "/sitecustomize/__init__.py"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof forms / sizeof *forms; i++) {
        char *file = joined(folder[0] == '\0' ? "." : folder, forms[i]); /* an empty entry is the working directory */
        found = access(file, R_OK) == 0;
        free(file);
    }
    return found;
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
            p->customized = p->customized || has_sitecustomize(entry);
        }
    }
    p->customized = p->customized || has_sitecustomize(p->home_site);
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
   function may set (isolated mode would ignore PYTHON_GIL, PYTHON_JIT, PYTHONWARNINGS and the rest). `options`: argv
   is an interpreter's command line, whose options a wrapper may have added and whose script is the bootstrap. */
static void start_python(const places *p, int argc, char **argv, bool options)
{
    PyPreConfig before;
    PyPreConfig_InitPythonConfig(&before); /* locale and UTF-8 mode by CPython's rules: PEP 538, PEP 540 */
    before.parse_argv = options;
    check(Py_PreInitializeFromBytesArgs(&before, argc, argv));

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = options;
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

/* make_runtime.main(handler, folders with .pth files, whether there is a sitecustomize). New reference or NULL with an
   exception. */
static PyObject *call_policy(const places *p, const char *handler)
{
    PyObject *result = NULL, *module = NULL;
    PyObject *folders = path_list(p->site_folders, p->site_folders_count, has_startup_file);
    if (folders != NULL) {
        module = PyImport_ImportModule("make_runtime");
    }
    if (module != NULL) {
        result = PyObject_CallMethod(module, "main", "zOO", handler, folders, p->customized ? Py_True : Py_False);
    }
    Py_XDECREF(module);
    Py_XDECREF(folders);
    return result;
}

/* As Py_RunMain ends: SystemExit gives its status, an unhandled KeyboardInterrupt dies of SIGINT, the rest is 1. */
static int run_lambda(const places *p, int argc, char **argv, bool options)
{
    start_python(p, argc, argv, options);
    PyObject *result = call_policy(p, getenv("_HANDLER"));
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

/* ---- wrappers ----------------------------------------------------------------------------------------------- */

/* Set while a wrapper runs, so that one that starts `bootstrap` again does not get itself; user code never sees it. */
static const char in_wrapper[] = "MAKE_RUNTIME_IN_WRAPPER";

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_own_executable(const char *path, const char *executable)
{
    struct stat theirs, ours;
    return stat(path, &theirs) == 0 && stat(executable, &ours) == 0 && theirs.st_dev == ours.st_dev &&
           theirs.st_ino == ours.st_ino;
}

static void refuse_wrapper(const char *wrapper, const char *reason, int status) __attribute__((noreturn));

static void refuse_wrapper(const char *wrapper, const char *reason, int status)
{
    printf("%s: %s\n", wrapper, reason);
    exit(status);
}

/* AWS_LAMBDA_EXEC_WRAPPER: the platform runs wrappers for managed runtimes only, so this is what their own bootstrap
   script does, in its words and with its statuses: `exec -- "$wrapper" /var/lang/bin/python3.Y /var/runtime/bootstrap.py`.
   Ours gets an interpreter and one script as well, because wrappers rely on both: the one in AWS's documentation adds
   options before the *last* argument, OpenTelemetry's hands "$@" to a program that wants an executable first.
   Returns when there is no wrapper to run. */
static void exec_wrapper(const char *executable, const char *self)
{
    const char *wrapper = getenv("AWS_LAMBDA_EXEC_WRAPPER");
    struct stat file;
    if (wrapper == NULL || wrapper[0] == '\0') {
        return;
    }
    if (getenv(in_wrapper) != NULL) {
        unsetenv(in_wrapper);
        return;
    }
    if (stat(wrapper, &file) < 0 || !S_ISREG(file.st_mode)) {
        refuse_wrapper(wrapper, "does not exist", 127);
    }
    if (access(wrapper, X_OK) < 0) {
        refuse_wrapper(wrapper, "is not an executable", 126);
    }
    if (is_own_executable(wrapper, executable)) { /* two layers with a /opt/bootstrap: the later one is there */
        refuse_wrapper(wrapper, "is the runtime itself, not a wrapper", 126);
    }
    /* Absolute, because the wrapper may change the working directory. Not resolved: its name is what makes it us. */
    char *folder = self[0] == '/' ? NULL : realpath(".", NULL);
    char *script = self[0] == '/' ? joined(self, "") : joined(joined(folder != NULL ? folder : "", "/"), self);
    setenv(in_wrapper, "1", 1);
    execv(wrapper, (char *[]){(char *)wrapper, (char *)executable, script, NULL});
    if (errno == ENOEXEC) { /* no #! line: bash, which runs the managed one, takes it for a shell script */
        execv("/bin/sh", (char *[]){"sh", (char *)wrapper, (char *)executable, script, NULL});
    }
    refuse_wrapper(wrapper, strerror(errno), 126);
}

/* The script in an interpreter's command line, or NULL: Python/initconfig.c's SHORT_OPTS, of which c and m end the
   options by naming something else to run, and W and X have a value, in the same word or the next. */
static const char *script_of(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || word[1] == '\0') {
            return word;
        }
        if (word[1] == '-') {
            if (word[2] == '\0') {
                return i + 1 < argc ? argv[i + 1] : NULL;
            }
            i += strcmp(word, "--check-hash-based-pycs") == 0;
            continue;
        }
        const char *special = strpbrk(word + 1, "cmWX");
        if (special != NULL && (*special == 'c' || *special == 'm')) {
            return NULL;
        }
        i += special != NULL && special[1] == '\0';
    }
    return NULL;
}

/* Whether this is `python3 [options] .../bootstrap`: the interpreter asked to run itself as a script. */
static bool is_wrapped_command(int argc, char **argv)
{
    const char *script = script_of(argc, argv);
    return script != NULL && strcmp(base_name(script), "bootstrap") == 0 && is_own_executable(script, "/proc/self/exe");
}

int main(int argc, char **argv)
{
    if (PyImport_AppendInittab("_runtime_api", PyInit__runtime_api) < 0) {
        die("out of memory");
    }
    register_frozen_modules();
    find_certificates();
    const bool direct = argc > 0 && strcmp(base_name(argv[0]), "bootstrap") == 0;
    if (direct || is_wrapped_command(argc, argv)) {
        /* An image may name the handler as its CMD when our program itself is the ENTRYPOINT. Where it is looked for
           otherwise: wrappers put their own handler there and remember the function's. */
        const char *handler = getenv("_HANDLER");
        if (direct && argc > 1 && (handler == NULL || handler[0] == '\0')) {
            setenv("_HANDLER", argv[1], 1);
        }
        places p = {0};
        find_places(&p); /* the task root and PYTHONPATH as they are now: a wrapper's changes come with the next exec */
        if (direct) {
            exec_wrapper(p.executable, argv[0]);
        }
        unsetenv(in_wrapper);
        memory_keep_arenas();
        return run_lambda(&p, argc, argv, !direct);
    }
    /* The recipes leave out the coloured prompt of 3.13 (_pyrepl), which only a terminal would get; without this,
       starting it would fail. */
    if (isatty(STDIN_FILENO)) {
        setenv("PYTHON_BASIC_REPL", "1", 0);
    }
    return Py_BytesMain(argc, argv);
}
