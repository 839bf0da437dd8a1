/* The event's JSON, straight from the bytes that came from the socket. */
#ifndef MAKE_RUNTIME_JSON_DECODE_H
#define MAKE_RUNTIME_JSON_DECODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What json.loads would give for `text`, `length` bytes of UTF-8 with a NUL behind them. New reference; or NULL with
   ValueError for everything json.loads refuses, and for the few things it accepts and this does not care to (a byte
   order mark, UTF-16 and UTF-32); or NULL with another exception (RecursionError, MemoryError). */
PyObject *json_decode(const char *text, Py_ssize_t length);

/* The same for text in the memory of a str that nobody else knows: `*holder` was made by PyUnicode_New(length, 127) and
   filled from a socket, with anything. A string that is nearly all of the document takes over that memory instead of being
   copied. *holder is then NULL or, when decoding failed afterwards, a bytes object with the whole text. */
PyObject *json_decode_holder(PyObject **holder);

#endif
