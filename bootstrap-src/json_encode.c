/* JSON out, as the managed runtime's encoder writes it: json.dumps, plus named tuples as objects, Decimal as its
 * digits, bytes as text. Refuses to know where the text goes.
 *
 * Ownership: `out.bytes` is a bytes object that only this file can see until it is returned; it is grown with
 * _PyBytes_Resize and cut to its length at the end, so that the text is written once and hardly copied. A large string
 * that is its own JSON is not copied at all where the caller takes parts: what was written so far becomes a part, the
 * string itself the next.
 * Borrowed references are never held across a call that can run Python code or (free-threaded) let another thread
 * change the container: such items are taken as new references first.
 */
#include "json_encode.h"

#include <stdint.h>
#include <string.h>

#ifndef LARGE
#define LARGE 65536 /* bytes of text. The fuzzer has fewer */
#endif

typedef struct frame {
    PyObject *container; /* borrowed: the caller's frame holds it */
    const struct frame *outer;
} frame;

typedef struct {
    PyObject *bytes;
    char *at;
    Py_ssize_t length, capacity;
    bool ensure_ascii;
    bool in_parts;   /* whether large strings may become parts of their own */
    PyObject *parts; /* list of those that are finished, or NULL: none yet */
    PyObject *decimal; /* decimal.Decimal once it was looked for and found, else NULL */
    bool decimal_looked_for;
} writer;

static int write_value(writer *w, PyObject *value, const frame *outer);

/* ---- bytes -------------------------------------------------------------------------------------------------- */

static int grow(writer *w, Py_ssize_t more)
{
    if (more > PY_SSIZE_T_MAX / 2 - w->length) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t larger = w->length + more + w->length / 2 + 64;
    if (_PyBytes_Resize(&w->bytes, larger) < 0) { /* on failure it is freed and NULL */
        return -1;
    }
    w->at = PyBytes_AS_STRING(w->bytes);
    w->capacity = larger;
    return 0;
}

static inline int reserve(writer *w, Py_ssize_t more)
{
    return w->capacity - w->length < more ? grow(w, more) : 0;
}

static inline int put(writer *w, const char *text, Py_ssize_t length)
{
    if (reserve(w, length) < 0) {
        return -1;
    }
    memcpy(w->at + w->length, text, (size_t)length);
    w->length += length;
    return 0;
}

#define PUT(w, literal) put(w, literal, (Py_ssize_t)sizeof(literal) - 1)

/* ---- strings ------------------------------------------------------------------------------------------------ */

static const char hex_digits[] = "0123456789abcdef";

static inline char *put_unicode_escape(char *to, Py_UCS4 unit)
{
    *to++ = '\\';
    *to++ = 'u';
    *to++ = hex_digits[(unit >> 12) & 15];
    *to++ = hex_digits[(unit >> 8) & 15];
    *to++ = hex_digits[(unit >> 4) & 15];
    *to++ = hex_digits[unit & 15];
    return to;
}

/* `to` has room for 12 bytes, the longest form: a surrogate pair of escapes. NULL: a lone surrogate in UTF-8. */
static char *put_char(char *to, Py_UCS4 ch, bool ensure_ascii)
{
    switch (ch) {
    case '"':
        *to++ = '\\';
        *to++ = '"';
        return to;
    case '\\':
        *to++ = '\\';
        *to++ = '\\';
        return to;
    case '\n':
        *to++ = '\\';
        *to++ = 'n';
        return to;
    case '\r':
        *to++ = '\\';
        *to++ = 'r';
        return to;
    case '\t':
        *to++ = '\\';
        *to++ = 't';
        return to;
    case '\b':
        *to++ = '\\';
        *to++ = 'b';
        return to;
    case '\f':
        *to++ = '\\';
        *to++ = 'f';
        return to;
    default:
        break;
    }
    if (ch < ' ' || (ensure_ascii && ch >= 0x7f && ch < 0x10000)) { /* DEL too: json's ESCAPE_ASCII ends at '~' */
        return put_unicode_escape(to, ch);
    }
    if (ch < 0x80) {
        *to++ = (char)ch;
        return to;
    }
    if (ensure_ascii) {
        to = put_unicode_escape(to, 0xd800 + ((ch - 0x10000) >> 10));
        return put_unicode_escape(to, 0xdc00 + ((ch - 0x10000) & 0x3ff));
    }
    if (ch < 0x800) {
        *to++ = (char)(0xc0 | (ch >> 6));
    } else if (ch < 0x10000) {
        if (ch >= 0xd800 && ch <= 0xdfff) {
            return NULL;
        }
        *to++ = (char)(0xe0 | (ch >> 12));
        *to++ = (char)(0x80 | ((ch >> 6) & 0x3f));
    } else {
        *to++ = (char)(0xf0 | (ch >> 18));
        *to++ = (char)(0x80 | ((ch >> 12) & 0x3f));
        *to++ = (char)(0x80 | ((ch >> 6) & 0x3f));
    }
    *to++ = (char)(0x80 | (ch & 0x3f));
    return to;
}

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* Length of the leading run that needs no escape in either mode (printable ASCII but for quote and backslash). Eight
   characters at a time: the high bit of a byte of `odd` is set when that byte needs one (or, harmlessly, follows one). */
static inline Py_ssize_t plain_run(const Py_UCS1 *text, Py_ssize_t length)
{
    Py_ssize_t i = 0;
    for (; length - i >= 8; i += 8) {
        uint64_t word, quote, slash, delete;
        memcpy(&word, text + i, 8);
        quote = word ^ EACH('"');
        slash = word ^ EACH('\\');
        delete = word ^ EACH(0x7f);
        uint64_t odd = (word - EACH(' ')) | (quote - EACH(1)) | (slash - EACH(1)) | (delete - EACH(1)) | word;
        if ((odd & EACH(0x80)) != 0) {
            break;
        }
    }
    while (i < length && text[i] >= ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\') {
        i++;
    }
    return i;
}

static int begin_bytes(writer *w)
{
    w->capacity = 256;
    w->length = 0;
    w->bytes = PyBytes_FromStringAndSize(NULL, w->capacity);
    if (w->bytes == NULL) {
        return -1;
    }
    w->at = PyBytes_AS_STRING(w->bytes);
    return 0;
}

/* What was written, as a bytes object of the right length; NULL with MemoryError. */
static PyObject *end_bytes(writer *w)
{
    PyObject *bytes = w->bytes;
    w->bytes = NULL;
    if (w->length >= LARGE) {
        /* As _PyBytes_Resize ends. Nothing is given back: it is posted and freed, and to shrink may be to copy. */
        Py_SET_SIZE(bytes, w->length);
        PyBytes_AS_STRING(bytes)[w->length] = '\0';
    } else {
        (void)_PyBytes_Resize(&bytes, w->length); /* NULL when it fails */
    }
    return bytes;
}

static int add_part(writer *w, PyObject *part) /* steals part; NULL passes an error on */
{
    int result = part == NULL ? -1 : PyList_Append(w->parts, part);
    Py_XDECREF(part);
    return result;
}

/* `text` between two parts of ours. */
static int write_as_part(writer *w, PyObject *text)
{
    if (w->parts == NULL && (w->parts = PyList_New(0)) == NULL) {
        return -1;
    }
    if (PUT(w, "\"") < 0 || add_part(w, end_bytes(w)) < 0 || PyList_Append(w->parts, text) < 0 || begin_bytes(w) < 0) {
        return -1;
    }
    return PUT(w, "\"");
}

static bool may_be_part(const writer *w, Py_ssize_t length)
{
    return w->in_parts && length >= LARGE && (w->parts == NULL || PyList_GET_SIZE(w->parts) <= JSON_PARTS_MAX - 3);
}

static int write_string(writer *w, PyObject *text)
{
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(text) < 0) { /* legacy strings without canonical form, gone in 3.12 (PEP 623) */
        return -1;
    }
#endif
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), i = 0;
    int kind = (int)PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    if (PyUnicode_IS_COMPACT_ASCII(text)) { /* most text: room, quote, run, quote, and the room is asked for once */
        i = plain_run(data, length);
        if (i == length && may_be_part(w, length)) {
            return write_as_part(w, text);
        }
        if (reserve(w, length + 2) < 0) {
            return -1;
        }
        char *to = w->at + w->length;
        to[0] = '"';
        memcpy(to + 1, data, (size_t)i);
        w->length += i + 1;
        if (i == length) {
            to[i + 1] = '"';
            w->length++;
            return 0;
        }
    } else if (PUT(w, "\"") < 0) {
        return -1;
    }
    while (i < length) {
        if (kind == PyUnicode_1BYTE_KIND) {
            Py_ssize_t run = plain_run((const Py_UCS1 *)data + i, length - i);
            if (run > 0) {
                if (put(w, (const char *)data + i, run) < 0) {
                    return -1;
                }
                i += run;
                continue;
            }
        }
        /* A batch at a time, so that the room is asked for once per batch and not per character. */
        Py_ssize_t stop = length - i > 64 ? i + 64 : length;
        if (reserve(w, (stop - i) * 12) < 0) {
            return -1;
        }
        char *to = w->at + w->length;
        for (; i < stop; i++) {
            char *next = put_char(to, PyUnicode_READ(kind, data, i), w->ensure_ascii);
            if (next == NULL) {
                /* Let the codec word the error: "'utf-8' codec can't encode character '\ud800' in position ..." */
                PyObject *never = PyUnicode_AsUTF8String(text);
                Py_XDECREF(never);
                if (never != NULL) {
                    PyErr_SetString(PyExc_ValueError, "surrogates not allowed");
                }
                return -1;
            }
            to = next;
        }
        w->length = to - w->at;
    }
    return PUT(w, "\"");
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

static int write_ascii(writer *w, PyObject *text) /* steals text; NULL passes an error on */
{
    Py_ssize_t length = 0;
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &length);
    int result = utf8 == NULL ? -1 : put(w, utf8, length);
    Py_XDECREF(text);
    return result;
}

static int write_int(writer *w, PyObject *value)
{
    int overflow = 0;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        /* int.__repr__, as json does, so that a subclass (IntEnum) shows its number. May raise ValueError beyond
           sys.get_int_max_str_digits(), which is what json.dumps does too. */
        return write_ascii(w, PyLong_Type.tp_repr(value));
    }
    if (small == -1 && PyErr_Occurred()) {
        return -1;
    }
    char digits[24], *from = digits + sizeof digits;
    unsigned long long left = small < 0 ? 0ULL - (unsigned long long)small : (unsigned long long)small;
    do {
        *--from = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (small < 0) {
        *--from = '-';
    }
    return put(w, from, digits + sizeof digits - from);
}

/* repr() of a number that is a decimal of few digits (prices, coordinates, percentages), or 0 when it is not one.
 * With m < 10^15 and m / 10^k == number (both operands exact, so the quotient is rounded once, as a parser rounds it)
 * m * 10^-k reads back as the number, and no other decimal of up to 15 digits does (DBL_DIG): it is the shortest, as k
 * goes upwards. In this range repr writes no exponent. */
static Py_ssize_t short_decimal(double number, char to[32])
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    const double size = number < 0 ? -number : number;
    if (!(size >= 1e-3 && size < 1e9)) { /* times 10^6 it stays below 10^15 */
        return 0;
    }
    for (int places = 0; places < 7; places++) {
        uint64_t whole = (uint64_t)(size * powers[places] + 0.5);
        if ((double)whole / powers[places] != size) {
            continue;
        }
        char *end = to + 32, *from = end;
        int left = places > 0 ? places : 1; /* "5.0" */
        if (places == 0) {
            *--from = '0';
        }
        for (; left > 0; left--) {
            if (places > 0) {
                *--from = (char)('0' + whole % 10);
                whole /= 10;
            }
        }
        *--from = '.';
        do {
            *--from = (char)('0' + whole % 10);
            whole /= 10;
        } while (whole > 0);
        if (number < 0) {
            *--from = '-';
        }
        memmove(to, from, (size_t)(end - from));
        return end - from;
    }
    return 0;
}

static int write_float(writer *w, PyObject *value)
{
    double number = PyFloat_AS_DOUBLE(value);
    if (number != number) {
        return PUT(w, "NaN");
    }
    if (number - number != 0) {
        return number > 0 ? PUT(w, "Infinity") : PUT(w, "-Infinity");
    }
    char digits[32];
    Py_ssize_t short_length = short_decimal(number, digits);
    if (short_length > 0) {
        return put(w, digits, short_length);
    }
    char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        return -1;
    }
    int result = put(w, text, (Py_ssize_t)strlen(text));
    PyMem_Free(text);
    return result;
}

/* ---- containers --------------------------------------------------------------------------------------------- */

static int enter(PyObject *container, const frame *outer)
{
    for (const frame *f = outer; f != NULL; f = f->outer) {
        if (f->container == container) {
            PyErr_SetString(PyExc_ValueError, "Circular reference detected");
            return -1;
        }
    }
    return Py_EnterRecursiveCall(" while encoding a JSON object") != 0 ? -1 : 0;
}

/* The managed runtime's encoder takes bytes inside a document for UTF-8 text (a result that *is* bytes never gets
   here). json.dumps refuses them. */
static int write_bytes(writer *w, PyObject *bytes)
{
    PyObject *text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), NULL);
    int result = text == NULL ? -1 : write_string(w, text);
    Py_XDECREF(text);
    return result;
}

/* As `type(value).__name__`: tp_name of a static type has its module in front. */
static const char *type_name(PyObject *value)
{
    const char *name = Py_TYPE(value)->tp_name;
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

static int write_key(writer *w, PyObject *key)
{
    if (PyUnicode_Check(key)) {
        return write_string(w, key);
    }
    if (PyBytes_Check(key)) {
        return write_bytes(w, key);
    }
    if (PUT(w, "\"") < 0) {
        return -1;
    }
    int result;
    if (PyFloat_Check(key)) {
        result = write_float(w, key);
    } else if (key == Py_True) {
        result = PUT(w, "true");
    } else if (key == Py_False) {
        result = PUT(w, "false");
    } else if (key == Py_None) {
        result = PUT(w, "null");
    } else if (PyLong_Check(key)) {
        result = write_int(w, key);
    } else {
        PyErr_Format(PyExc_TypeError, "keys must be str, int, float, bool or None, not %.100s", type_name(key));
        return -1;
    }
    return result < 0 ? -1 : PUT(w, "\"");
}

static int write_pair(writer *w, PyObject *key, PyObject *value, bool first, const frame *here)
{
    if ((!first && PUT(w, ", ") < 0) || write_key(w, key) < 0 || PUT(w, ": ") < 0) {
        return -1;
    }
    return write_value(w, value, here);
}

#ifdef Py_GIL_DISABLED

/* Without a GIL a snapshot is the only safe iteration: another thread may change the dict while its values are written. */
static int write_exact_dict(writer *w, PyObject *dict, const frame *here)
{
    PyObject *few[2 * 32], **items = few, *key, *value;
    Py_ssize_t count = 0, position = 0;
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(dict);
    Py_ssize_t size = PyDict_GET_SIZE(dict);
    if (size > 32) {
        items = PyMem_Malloc((size_t)size * 2 * sizeof *items);
    }
    while (items != NULL && count < size && PyDict_Next(dict, &position, &key, &value)) {
        items[2 * count] = Py_NewRef(key);
        items[2 * count + 1] = Py_NewRef(value);
        count++;
    }
    Py_END_CRITICAL_SECTION();
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (result == 0) {
            result = write_pair(w, items[2 * i], items[2 * i + 1], i == 0, here);
        }
        Py_DECREF(items[2 * i]);
        Py_DECREF(items[2 * i + 1]);
    }
    if (items != few) {
        PyMem_Free(items);
    }
    return result;
}

#else

static int write_exact_dict(writer *w, PyObject *dict, const frame *here)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    bool first = true;
    int result = 0;
    while (result == 0 && PyDict_Next(dict, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        result = write_pair(w, key, value, first, here);
        Py_DECREF(key);
        Py_DECREF(value);
        first = false;
    }
    return result;
}

#endif

static int write_dict(writer *w, PyObject *dict, const frame *outer)
{
    frame here = {dict, outer};
    int result = 0;
    if (enter(dict, outer) < 0) {
        return -1;
    }
    if (PUT(w, "{") < 0) {
        result = -1;
    }
    if (result == 0 && PyDict_CheckExact(dict)) {
        result = write_exact_dict(w, dict, &here);
    } else if (result == 0) {
        /* A subclass may order its items (OrderedDict). */
        PyObject *items = PyMapping_Items(dict);
        Py_ssize_t count = items == NULL ? -1 : PyList_GET_SIZE(items);
        if (items == NULL) {
            result = -1;
        }
        for (Py_ssize_t i = 0; result == 0 && i < count; i++) {
            PyObject *item = PyList_GET_ITEM(items, i); /* ours alone: nobody else can see the list */
            if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
                PyErr_SetString(PyExc_ValueError, "items must return 2-tuples");
                result = -1;
                break;
            }
            result = write_pair(w, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1), i == 0, &here);
        }
        Py_XDECREF(items);
    }
    if (result == 0) {
        result = PUT(w, "}");
    }
    Py_LeaveRecursiveCall();
    return result;
}

/* A list can shrink while an element's own code runs: its size is read again for each element. */
static PyObject *list_item(PyObject *list, Py_ssize_t i)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *item = PyList_GetItemRef(list, i);
    if (item == NULL) {
        PyErr_Clear(); /* IndexError: the end */
    }
    return item;
#else
    if (i >= PyList_GET_SIZE(list)) {
        return NULL;
    }
    PyObject *item = PyList_GET_ITEM(list, i);
    Py_INCREF(item);
    return item;
#endif
}

static int write_sequence(writer *w, PyObject *sequence, const frame *outer)
{
    frame here = {sequence, outer};
    int result = 0;
    if (enter(sequence, outer) < 0) {
        return -1;
    }
    if (PUT(w, "[") < 0) {
        result = -1;
    }
    if (PyList_Check(sequence)) {
        for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(sequence); i++) {
            PyObject *item = list_item(sequence, i);
            if (item == NULL) {
                break;
            }
            result = i > 0 ? PUT(w, ", ") : 0;
            if (result == 0) {
                result = write_value(w, item, &here);
            }
            Py_DECREF(item);
        }
    } else {
        for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(sequence); i++) {
            result = i > 0 ? PUT(w, ", ") : 0;
            if (result == 0) {
                result = write_value(w, PyTuple_GET_ITEM(sequence, i), &here);
            }
        }
    }
    if (result == 0) {
        result = PUT(w, "]");
    }
    Py_LeaveRecursiveCall();
    return result;
}

/* ---- what json does not know -------------------------------------------------------------------------------- */

/* A Decimal cannot exist before its module was imported, so the module is looked up and never imported. */
static int is_decimal(writer *w, PyObject *value)
{
    if (!w->decimal_looked_for) {
        PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
        PyObject *module = modules == NULL ? NULL : PyMapping_GetItemString(modules, "decimal");
        w->decimal_looked_for = true;
        if (module != NULL) {
            w->decimal = PyObject_GetAttrString(module, "Decimal");
            Py_DECREF(module);
        }
        PyErr_Clear();
    }
    return w->decimal == NULL ? 0 : PyObject_IsInstance(value, w->decimal);
}

static int write_decimal(writer *w, PyObject *value)
{
    PyObject *answer = PyObject_CallMethod(value, "is_nan", NULL);
    int nan = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (nan != 0) {
        return nan < 0 ? -1 : PUT(w, "NaN"); /* str() could give "-NaN" or "sNaN", which no parser takes */
    }
    return write_ascii(w, PyObject_Str(value));
}

/* Writes the dict of a named tuple. 0: written, 1: has no usable _asdict, -1: error. */
static int write_as_dict(writer *w, PyObject *value, const frame *outer)
{
    PyObject *method = PyObject_GetAttrString(value, "_asdict");
    if (method == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        return 1;
    }
    if (!PyCallable_Check(method)) {
        Py_DECREF(method);
        return 1;
    }
    frame here = {value, outer};
    int result = enter(value, outer);
    if (result == 0) {
        PyObject *dict = PyObject_CallNoArgs(method);
        if (dict == NULL) {
            result = -1;
        } else if (!PyDict_Check(dict)) {
            PyErr_Format(PyExc_TypeError, "_asdict() must return a dict, not %.100s", type_name(dict));
            result = -1;
        } else {
            result = write_dict(w, dict, &here);
        }
        Py_XDECREF(dict);
        Py_LeaveRecursiveCall();
    }
    Py_DECREF(method);
    return result;
}

static int refuse(PyObject *value)
{
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, "Object of type %U is not JSON serializable", name);
        Py_DECREF(name);
    }
    return -1;
}

static int write_value(writer *w, PyObject *value, const frame *outer)
{
    if (PyUnicode_Check(value)) {
        return write_string(w, value);
    }
    if (value == Py_None) {
        return PUT(w, "null");
    }
    if (value == Py_True) {
        return PUT(w, "true");
    }
    if (value == Py_False) {
        return PUT(w, "false");
    }
    if (PyLong_Check(value)) {
        return write_int(w, value);
    }
    if (PyFloat_Check(value)) {
        return write_float(w, value);
    }
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
        return write_sequence(w, value, outer);
    }
    if (PyDict_CheckExact(value)) {
        return write_dict(w, value, outer);
    }
    if (PyBytes_Check(value)) {
        return write_bytes(w, value);
    }
    if (PyType_Check(value)) { /* a named tuple *class* has an _asdict too, which is not for it */
        return refuse(value);
    }
    /* The managed runtime's encoder asks every other object for _asdict before it looks at what it derives from. */
    int result = write_as_dict(w, value, outer);
    if (result <= 0) {
        return result;
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return write_sequence(w, value, outer);
    }
    if (PyDict_Check(value)) {
        return write_dict(w, value, outer);
    }
    result = is_decimal(w, value);
    if (result != 0) {
        return result < 0 ? -1 : write_decimal(w, value);
    }
    return refuse(value);
}

static PyObject *encode(PyObject *value, bool ensure_ascii, bool in_parts)
{
    writer w = {.ensure_ascii = ensure_ascii, .in_parts = in_parts};
    PyObject *all = NULL;
    if (begin_bytes(&w) == 0 && write_value(&w, value, NULL) == 0) {
        if (w.parts == NULL) {
            all = end_bytes(&w);
        } else if (add_part(&w, end_bytes(&w)) == 0) {
            all = PyList_AsTuple(w.parts);
        }
    }
    Py_XDECREF(w.bytes);
    Py_XDECREF(w.parts);
    Py_XDECREF(w.decimal);
    return all;
}

PyObject *json_encode(PyObject *value, bool ensure_ascii)
{
    return encode(value, ensure_ascii, false);
}

PyObject *json_encode_parts(PyObject *value, bool ensure_ascii)
{
    return encode(value, ensure_ascii, true);
}
