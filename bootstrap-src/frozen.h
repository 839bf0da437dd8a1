/* The table of frozen modules: its shape differs between versions, and only this header knows how. */
#ifndef MAKE_RUNTIME_FROZEN_H
#define MAKE_RUNTIME_FROZEN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX >= 0x030b0000
/* 3.11 and 3.12 have one more field, get_code, for deep-frozen modules: left NULL. */
#define FROZEN(module, data, package) {.name = module, .code = data, .size = (int)sizeof data, .is_package = package}
#else
/* Before 3.11 a negative size said "package". */
#define FROZEN(module, data, package) {.name = module, .code = data, .size = (package ? -1 : 1) * (int)sizeof data}
#endif
#define FROZEN_END {.name = NULL}

extern const struct _frozen make_runtime_frozen[]; /* ends with FROZEN_END */
extern const size_t make_runtime_frozen_count;     /* without the end */

#endif
