/* libFuzzer target for json_decode.c and json_encode.c, with the standard library's `json` as the judge.
 *
 * An input is a document. What our decoder accepts, json.loads must accept with an equal value; what it refuses, json.loads
 * must refuse too, but for the encodings that are left to it. What was decoded is encoded again, both ways, and must be
 * what json.dumps writes, also in parts. The document is decoded twice, the second time in memory that its longest string
 * may take over: built with thresholds (TAKE_OVER, LARGE) that an input can reach. Python allocates with malloc here, so that AddressSanitizer sees its objects, and the document
 * lies in memory of exactly its size. Refuses to know HTTP.
 */
#include "../../json_decode.h"
#include "../../json_encode.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            PyErr_Print();                                                                                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static PyObject *loads, *dumps, *is_for_json; /* owned for ever */

static const char helpers[] =
    "import json\n"
    "def is_for_json(document):\n"
    "    # What json_decode.h leaves to json.loads.\n"
    "    return document.startswith(b'\\xef\\xbb\\xbf') or json.detect_encoding(document) != 'utf-8'\n"
    "def dumps(value, ensure_ascii):\n"
    "    return json.dumps(value, ensure_ascii=ensure_ascii).encode()\n";

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.allocator = PYMEM_ALLOCATOR_MALLOC;
    REQUIRE(!PyStatus_Exception(Py_PreInitialize(&before)));
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    const char *home = getenv("MAKE_RUNTIME_FUZZ_HOME"); /* the interpreter's prefix, where it is not the compiled one */
    if (home != NULL) {
        REQUIRE(!PyStatus_Exception(PyConfig_SetBytesString(&config, &config.home, home)));
    }
    config.install_signal_handlers = 0; /* libFuzzer's are wanted */
    REQUIRE(!PyStatus_Exception(Py_InitializeFromConfig(&config)));
    PyConfig_Clear(&config);
    PyObject *main = PyImport_ImportModule("__main__");
    REQUIRE(main != NULL && PyRun_SimpleString(helpers) == 0);
    PyObject *json = PyObject_GetAttrString(main, "json");
    REQUIRE(json != NULL);
    loads = PyObject_GetAttrString(json, "loads");
    dumps = PyObject_GetAttrString(main, "dumps");
    is_for_json = PyObject_GetAttrString(main, "is_for_json");
    REQUIRE(loads != NULL && dumps != NULL && is_for_json != NULL);
    Py_DECREF(json);
    Py_DECREF(main);
    return 0;
}

/* How deep a document may be differs by a level or two, and memory may end anywhere: neither is compared. */
static bool limit_reached(void)
{
    return PyErr_ExceptionMatches(PyExc_RecursionError) || PyErr_ExceptionMatches(PyExc_MemoryError);
}

/* repr tells 1 from 1.0 and True, shows the order of keys, and is the same for every NaN. */
static void check_equal(PyObject *ours, PyObject *theirs)
{
    PyObject *a = PyObject_Repr(ours), *b = a == NULL ? NULL : PyObject_Repr(theirs);
    if (a == NULL || b == NULL) {
        REQUIRE(limit_reached());
        PyErr_Clear();
    } else {
        REQUIRE(PyUnicode_Compare(a, b) == 0);
    }
    Py_XDECREF(a);
    Py_XDECREF(b);
}

/* Parts, joined, are what is written in one piece (which is judged). */
static void check_parts(PyObject *value, bool ensure_ascii, PyObject *whole)
{
    PyObject *parts = json_encode_parts(value, ensure_ascii);
    REQUIRE((parts == NULL) == (whole == NULL));
    if (parts == NULL || PyBytes_Check(parts)) {
        REQUIRE(parts == NULL || PyObject_RichCompareBool(parts, whole, Py_EQ) == 1);
        PyErr_Clear();
        Py_XDECREF(parts);
        return;
    }
    const char *at = PyBytes_AS_STRING(whole), *end = at + PyBytes_GET_SIZE(whole);
    REQUIRE(PyTuple_CheckExact(parts) && PyTuple_GET_SIZE(parts) <= JSON_PARTS_MAX);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        PyObject *part = PyTuple_GET_ITEM(parts, i);
        REQUIRE(PyBytes_Check(part) || PyUnicode_IS_COMPACT_ASCII(part));
        Py_ssize_t length = PyBytes_Check(part) ? PyBytes_GET_SIZE(part) : PyUnicode_GET_LENGTH(part);
        const void *text = PyBytes_Check(part) ? PyBytes_AS_STRING(part) : PyUnicode_DATA(part);
        REQUIRE(end - at >= length && memcmp(at, text, (size_t)length) == 0);
        at += length;
    }
    REQUIRE(at == end);
    Py_DECREF(parts);
}

static void check_encoded(PyObject *value, bool ensure_ascii)
{
    PyObject *ours = json_encode(value, ensure_ascii);
    if (ours == NULL && limit_reached()) {
        PyErr_Clear();
        return;
    }
    REQUIRE(ours != NULL || PyErr_ExceptionMatches(PyExc_ValueError)); /* a lone surrogate in UTF-8 */
    PyErr_Clear();
    check_parts(value, ensure_ascii, ours);
    PyObject *theirs = PyObject_CallFunction(dumps, "OO", value, ensure_ascii ? Py_True : Py_False);
    if (theirs == NULL) {
        REQUIRE(limit_reached() || (ours == NULL && PyErr_ExceptionMatches(PyExc_ValueError)));
        PyErr_Clear();
    } else {
        REQUIRE(ours != NULL && PyBytes_GET_SIZE(ours) == PyBytes_GET_SIZE(theirs));
        REQUIRE(memcmp(PyBytes_AS_STRING(ours), PyBytes_AS_STRING(theirs), (size_t)PyBytes_GET_SIZE(ours)) == 0);
    }
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
}

/* `ours` is what the document gave where its memory stays as it is, or NULL: refused. */
static void check_taken_over(const uint8_t *data, size_t size, PyObject *ours)
{
    PyObject *holder = PyUnicode_New((Py_ssize_t)size, 127);
    REQUIRE(holder != NULL);
    if (size == 0) { /* the one empty string is everybody's */
        Py_DECREF(holder);
        return;
    }
    memcpy(PyUnicode_DATA(holder), data, size);
    PyObject *again = json_decode_holder(&holder);
    if (again == NULL) {
        REQUIRE(PyErr_Occurred() && (ours == NULL || limit_reached()));
        PyErr_Clear();
        const void *text = PyBytes_Check(holder) ? (void *)PyBytes_AS_STRING(holder) : PyUnicode_DATA(holder);
        Py_ssize_t length = PyBytes_Check(holder) ? PyBytes_GET_SIZE(holder) : PyUnicode_GET_LENGTH(holder);
        REQUIRE((size_t)length == size && memcmp(text, data, size) == 0);
    } else {
        REQUIRE(ours != NULL);
        check_equal(again, ours);
    }
    Py_XDECREF(again);
    Py_XDECREF(holder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    REQUIRE(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    PyObject *ours = json_decode(text, (Py_ssize_t)size);
    free(text); /* nothing of the value may point into it */
    bool refused = ours == NULL;
    REQUIRE(refused == (PyErr_Occurred() != NULL));
    if (refused && limit_reached()) {
        PyErr_Clear();
        return 0;
    }
    REQUIRE(!refused || PyErr_ExceptionMatches(PyExc_ValueError));
    PyErr_Clear();
    check_taken_over(data, size, ours);
    PyObject *document = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    REQUIRE(document != NULL);
    PyObject *theirs = PyObject_CallOneArg(loads, document);
    if (theirs == NULL) {
        REQUIRE(refused || limit_reached());
        PyErr_Clear();
    } else if (refused) {
        PyObject *left = PyObject_CallOneArg(is_for_json, document);
        REQUIRE(left == Py_True);
        Py_DECREF(left);
    } else {
        check_equal(ours, theirs);
    }
    if (!refused) {
        check_encoded(ours, false);
        check_encoded(ours, true);
    }
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    Py_DECREF(document);
    return 0;
}
