/* The event's JSON, straight from the bytes that came from the socket. */
#ifndef MAKE_RUNTIME_JSON_DECODE_H
#define MAKE_RUNTIME_JSON_DECODE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What json.loads would give for `text`, `length` bytes of UTF-8 with a NUL behind them. New reference; or NULL with
   ValueError for everything json.loads refuses, and for the few things it accepts and this does not care to (a byte
   order mark, UTF-16 and UTF-32); or NULL with another exception (RecursionError, MemoryError). */
PyObject *json_decode(const char *text, Py_ssize_t length);

#endif
