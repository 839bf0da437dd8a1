/* The response's JSON, written straight to the bytes that go to the socket. */
#ifndef MAKE_RUNTIME_JSON_ENCODE_H
#define MAKE_RUNTIME_JSON_ENCODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

/* New bytes object (UTF-8, separators ", " and ": "), or NULL with an exception whose text is that of json.dumps. */
PyObject *json_encode(PyObject *value, bool ensure_ascii);

/* The same without copying large text: bytes, or a tuple of at most JSON_PARTS_MAX bytes and ASCII str objects whose
   contents, one after the other, are the document. */
#define JSON_PARTS_MAX 64
PyObject *json_encode_parts(PyObject *value, bool ensure_ascii);

#endif
