/* A JSON parser for what json.loads accepts: RFC 8259 with NaN, Infinity, -Infinity, lone surrogates and numbers of any
 * size. Refuses to say what is wrong with a document: json does that, in its own words, when it is asked the same.
 *
 * Invariants
 *  - `at` never passes `end`, and *end is NUL: one character of look-ahead needs no check.
 *  - Everything built here is private until it is returned: no lock is needed on free-threaded builds.
 *  - values[0, count) are owned; each function leaves `count` where it found it, also when it fails.
 */
#include "json_decode.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef Py_GIL_DISABLED
#include <sys/single_threaded.h>
#endif

#define KEYS_LOG2 8       /* of the entries of the cache */
#define KEYS (1 << KEYS_LOG2)
#define KEY_MAX 48        /* bytes; longer keys are rarely repeated */
#define REPEATING_TEXT 1024 /* bytes; below that, clearing the cache costs more than it saves */
#define LONG_TEXT 16384   /* bytes; a document from which the collector's rounds are worth avoiding */
#define EXACT_DIGITS 18   /* decimal digits that always fit in an int64_t */
#ifndef TAKE_OVER
#define TAKE_OVER 65536 /* bytes; a string from which not copying it is worth the trouble. The fuzzer has a smaller one */
#endif

typedef struct {
    const char *at, *end;
    PyObject **values; /* elements of the arrays that are being read */
    size_t count, capacity;
    char *scratch; /* a string with its escapes undone, or a long number */
    size_t scratch_capacity;
    PyObject **keys; /* KEYS, each owned or NULL: documents repeat few keys many times. NULL for a short document */
    PyObject *holder;   /* owned: the str whose memory the text lies in, or NULL: somebody else's memory, or taken over */
    PyObject *taken;    /* owned: the string that took the holder's memory over */
    char *around;       /* then: a copy of the text before it, of `before` bytes, and of the text after it */
    size_t before;
} reader;

static PyObject *read_value(reader *r);

static PyObject *refuse(void)
{
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "not JSON");
    }
    return NULL;
}

/* Scratch memory of that size, or NULL with an exception. What was in it before is lost. */
static char *room(reader *r, size_t size)
{
    if (size > r->scratch_capacity) {
        PyMem_Free(r->scratch);
        r->scratch_capacity = 0;
        r->scratch = PyMem_Malloc(size);
        if (r->scratch == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        r->scratch_capacity = size;
    }
    return r->scratch;
}

static void skip_space(reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t') {
        r->at++;
    }
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* First byte at or after `p` that is a quote, a backslash, a control character or (if asked) not ASCII. Eight at a time:
   the high bit of a byte of `odd` is set when that byte is one of them (or, harmlessly, follows one). */
static inline const char *plain_end(const char *p, const char *end, bool ascii)
{
    const uint64_t beyond_ascii = ascii ? EACH(0x80) : 0;
    while (end - p >= 8) {
        uint64_t word, quote, slash;
        memcpy(&word, p, 8);
        quote = word ^ EACH('"');
        slash = word ^ EACH('\\');
        uint64_t odd = ((word - EACH(0x20)) & ~word) | ((quote - EACH(1)) & ~quote) | ((slash - EACH(1)) & ~slash);
        if (((odd & EACH(0x80)) | (word & beyond_ascii)) != 0) {
            break;
        }
        p += 8;
    }
    while (p < end && (unsigned char)*p >= ' ' && *p != '"' && *p != '\\' && (!ascii || (unsigned char)*p < 0x80)) {
        p++;
    }
    return p;
}

/* Value of four hexadecimal digits, or -1; stops at the NUL behind the end. */
static inline int hex4(const char *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned ch = (unsigned char)p[i], digit = ch - '0';
        if (digit > 9) {
            digit = (ch | 0x20) - 'a';
            if (digit > 5) {
                return -1;
            }
            digit += 10;
        }
        value = value * 16 + (int)digit;
    }
    return value;
}

static char *put_utf8(char *to, unsigned ch)
{
    if (ch < 0x80) {
        *to++ = (char)ch;
    } else if (ch < 0x800) {
        *to++ = (char)(0xc0 | (ch >> 6));
        *to++ = (char)(0x80 | (ch & 0x3f));
    } else if (ch < 0x10000) { /* a lone surrogate too: the decoder is told to pass it */
        *to++ = (char)(0xe0 | (ch >> 12));
        *to++ = (char)(0x80 | ((ch >> 6) & 0x3f));
        *to++ = (char)(0x80 | (ch & 0x3f));
    } else {
        *to++ = (char)(0xf0 | (ch >> 18));
        *to++ = (char)(0x80 | ((ch >> 12) & 0x3f));
        *to++ = (char)(0x80 | ((ch >> 6) & 0x3f));
        *to++ = (char)(0x80 | (ch & 0x3f));
    }
    return to;
}

/* The closing quote of a string, `p` being somewhere in it at a character's start; NULL when it has none. */
static const char *closing_quote(const char *p, const char *end)
{
    for (;;) {
        p = plain_end(p, end, false);
        if (p == end || (unsigned char)*p < ' ') {
            return NULL;
        }
        if (*p == '"') {
            return p;
        }
        /* Text that is all escapes is common (json.dumps): whole ones at a time. One that is cut short by the quote is
           no escape, and is refused when it is undone. */
        while (*p == '\\') {
            p += end - p >= 6 && p[1] == 'u' ? 6 : end - p >= 2 ? 2 : 1;
        }
    }
}

static PyObject *unescaped(reader *r, const char *from, const char *close)
{
    char *to = room(r, (size_t)(close - from)); /* no escape is shorter than what it stands for */
    if (to == NULL) {
        return NULL;
    }
    while (from < close) {
        if (*from != '\\') {
            const char *slash = memchr(from, '\\', (size_t)(close - from));
            size_t run = (size_t)((slash != NULL ? slash : close) - from);
            memcpy(to, from, run);
            to += run;
            from += run;
            continue;
        }
        char kind = from[1];
        from += 2;
        if (kind != 'u') {
            static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
            const char *known = kind == '\0' ? NULL : strchr(letters, kind);
            if (known == NULL) {
                return refuse();
            }
            *to++ = meant[known - letters];
            continue;
        }
        int ch = hex4(from);
        if (ch < 0) {
            return refuse();
        }
        from += 4;
        if (ch >= 0xd800 && ch <= 0xdbff && from[0] == '\\' && from[1] == 'u') {
            int low = hex4(from + 2);
            if (low >= 0xdc00 && low <= 0xdfff) {
                ch = 0x10000 + ((ch - 0xd800) << 10) + (low - 0xdc00);
                from += 6;
            }
        }
        to = put_utf8(to, (unsigned)ch);
    }
    return PyUnicode_DecodeUTF8(r->scratch, to - r->scratch, "surrogatepass");
}

/* The slot of the cache for a key of so many bytes: its first eight and its last eight decide. What lies behind a short
   one in the document is masked away (the caller has seen to it that eight bytes are there). */
static inline size_t key_slot(const char *from, size_t length)
{
    uint64_t first, last;
    memcpy(&first, from, 8);
    if (length < 8) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        first &= ((uint64_t)1 << (8 * length)) - 1;
#else
        first >>= 64 - 8 * length;
#endif
        last = length;
    } else {
        memcpy(&last, from + length - 8, 8);
        last += length;
    }
    return (size_t)(((first ^ (last << 31 | last >> 33)) * 0x9e3779b97f4a7c15ULL) >> (64 - KEYS_LOG2));
}

/* The plain ASCII string [from, from + length), which is nearly all of the text, as the holder itself: what surrounds it is
   copied away, it is moved to the front (by what came before it) and is the holder's text from then on. Reading goes on
   in the copy. The memory behind it is not given back: what is left free between two large blocks is soon used for small
   ones, and the next event then finds no room where this one was. */
static PyObject *take_over(reader *r, const char *from, size_t length)
{
    char *text = PyUnicode_DATA(r->holder);
    const char *stop = from + length;
    size_t before = (size_t)(from - text), after = (size_t)(r->end - stop);
    char *around = PyMem_Malloc(before + after + 1);
    if (around == NULL) {
        return PyErr_NoMemory();
    }
    memcpy(around, text, before);
    memcpy(around + before, stop, after + 1); /* with the NUL */
    memmove(text, from, length);
    text[length] = '\0';
    ((PyASCIIObject *)r->holder)->length = (Py_ssize_t)length; /* as Py_SET_SIZE, of which str has none */
    r->around = around;
    r->before = before;
    r->at = around + before + 1; /* behind the closing quote */
    r->end = around + before + after;
    r->taken = r->holder;
    r->holder = NULL;
    return Py_NewRef(r->taken);
}

/* The text as it was before a string took its memory over, for whoever has to say what is wrong with it. */
static PyObject *put_together(const reader *r)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(r->taken), after = (size_t)(r->end - (r->around + r->before));
    PyObject *whole = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(r->before + length + after));
    if (whole != NULL) {
        char *to = PyBytes_AS_STRING(whole);
        memcpy(to, r->around, r->before);
        memcpy(to + r->before, PyUnicode_DATA(r->taken), length);
        memcpy(to + r->before + length, r->around + r->before, after);
    }
    return whole;
}

/* After the opening quote. */
static PyObject *read_string(reader *r, bool key)
{
    const char *from = r->at, *stop = plain_end(from, r->end, true);
    if (*stop != '"' || stop == r->end) {
        const char *close = closing_quote(stop, r->end);
        if (close == NULL) {
            return refuse();
        }
        r->at = close + 1;
        if (memchr(stop, '\\', (size_t)(close - stop)) != NULL) {
            return unescaped(r, from, close);
        }
        return PyUnicode_DecodeUTF8(from, close - from, "surrogatepass"); /* as json.loads decodes bytes */
    }
    size_t length = (size_t)(stop - from);
    if (r->holder != NULL && length >= TAKE_OVER && length >= (size_t)PyUnicode_GET_LENGTH(r->holder) / 16 * 15) {
        return take_over(r, from, length);
    }
    r->at = stop + 1;
    PyObject **cached = NULL;
    if (key && r->keys != NULL && length > 1 && length <= KEY_MAX && r->end - from >= 8) {
        PyObject **pair = r->keys + (key_slot(from, length) & ~(size_t)1);
        for (int i = 0; i < 2; i++) {
            PyObject *known = pair[i];
            if (known != NULL && (size_t)PyUnicode_GET_LENGTH(known) == length &&
                memcmp(PyUnicode_DATA(known), from, length) == 0) {
                return Py_NewRef(known);
            }
        }
        cached = pair[0] == NULL ? pair : pair + 1; /* of three that meet, two take turns */
    }
    PyObject *text;
    if (length < 2) {
        text = PyUnicode_FromStringAndSize(from, (Py_ssize_t)length); /* shared objects */
    } else {
        text = PyUnicode_New((Py_ssize_t)length, 127);
        if (text != NULL) {
            memcpy(PyUnicode_DATA(text), from, length);
        }
    }
    if (cached != NULL && text != NULL) {
        Py_XDECREF(*cached);
        *cached = Py_NewRef(text);
    }
    return text;
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static PyObject *read_number(reader *r)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *from = r->at, *p = from + (*from == '-');
    int64_t digits = 0;
    const char *first = p;
    if (!is_digit(*p)) {
        return refuse();
    }
    if (*p == '0') {
        p++; /* and no digit after it: json takes "01" for 0 with something behind it, which nothing allows */
    } else {
        for (; is_digit(*p); p++) {
            if (p - first < EXACT_DIGITS) {
                digits = digits * 10 + (*p - '0');
            }
        }
    }
    Py_ssize_t whole = p - first, fraction = 0;
    bool integer = true;
    if (*p == '.' && is_digit(p[1])) {
        integer = false;
        for (p++; is_digit(*p); p++, fraction++) {
            if (whole + fraction < EXACT_DIGITS) {
                digits = digits * 10 + (*p - '0');
            }
        }
    }
    int exponent = 0;
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1;
        bool negative = *q == '-';
        q += *q == '-' || *q == '+';
        if (is_digit(*q)) {
            integer = false;
            for (; is_digit(*q); q++) {
                exponent = exponent < 10000 ? exponent * 10 + (*q - '0') : exponent;
            }
            exponent = negative ? -exponent : exponent;
            p = q;
        }
    }
    r->at = p;
    char *stop = NULL;
    if (integer) {
        if (whole <= EXACT_DIGITS) {
            return PyLong_FromLongLong(*from == '-' ? -digits : digits);
        }
        /* PyLong_FromString takes a whole string, whatever it promises about its second argument. */
        char *copy = room(r, (size_t)(p - from) + 1);
        if (copy == NULL) {
            return NULL;
        }
        memcpy(copy, from, (size_t)(p - from));
        copy[p - from] = '\0';
        return PyLong_FromString(copy, NULL, 10); /* ValueError beyond sys.get_int_max_str_digits() */
    }
    /* Both operands exact, one rounding: the nearest double (Clinger 1990). The rest is for CPython's own strtod. */
    int scale = fraction > 1000 ? -10000 : exponent - (int)fraction;
    if (whole + fraction <= EXACT_DIGITS && digits <= (int64_t)1 << 53 && scale >= -22 && scale <= 22) {
        double number = scale < 0 ? (double)digits / powers[-scale] : (double)digits * powers[scale];
        return PyFloat_FromDouble(*from == '-' ? -number : number);
    }
    double number = PyOS_string_to_double(from, &stop, NULL);
    if (number == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return stop == p ? PyFloat_FromDouble(number) : refuse();
}

/* ---- containers --------------------------------------------------------------------------------------------- */

static int push(reader *r, PyObject *value)
{
    if (r->count == r->capacity) {
        size_t larger = r->capacity == 0 ? 64 : r->capacity * 2;
        PyObject **moved = PyMem_Realloc(r->values, larger * sizeof *moved);
        if (moved == NULL) {
            Py_DECREF(value);
            PyErr_NoMemory();
            return -1;
        }
        r->values = moved;
        r->capacity = larger;
    }
    r->values[r->count++] = value;
    return 0;
}

/* After the opening bracket. */
static PyObject *read_array(reader *r)
{
    size_t base = r->count;
    skip_space(r);
    if (*r->at == ']') {
        r->at++;
        return PyList_New(0);
    }
    for (;;) {
        PyObject *value = read_value(r);
        if (value == NULL || push(r, value) < 0) {
            break;
        }
        skip_space(r);
        if (*r->at == ',') {
            r->at++;
            skip_space(r);
            continue;
        }
        if (*r->at != ']') {
            refuse();
            break;
        }
        r->at++;
        PyObject *list = PyList_New((Py_ssize_t)(r->count - base));
        if (list == NULL) {
            break;
        }
        for (size_t i = base; i < r->count; i++) {
            PyList_SET_ITEM(list, (Py_ssize_t)(i - base), r->values[i]);
        }
        r->count = base;
        return list;
    }
    while (r->count > base) {
        Py_DECREF(r->values[--r->count]);
    }
    return NULL;
}

/* After the opening brace. */
static PyObject *read_object(reader *r)
{
    PyObject *dict = PyDict_New();
    skip_space(r);
    if (dict != NULL && *r->at == '}') {
        r->at++;
        return dict;
    }
    while (dict != NULL) {
        PyObject *value = NULL, *key = NULL;
        if (*r->at == '"') {
            r->at++;
            key = read_string(r, true);
        } else {
            refuse();
        }
        if (key != NULL) {
            skip_space(r);
            if (*r->at == ':') {
                r->at++;
                skip_space(r);
                value = read_value(r);
            } else {
                refuse();
            }
        }
        int stored = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(value);
        Py_XDECREF(key);
        if (stored < 0) {
            break;
        }
        skip_space(r);
        if (*r->at == '}') {
            r->at++;
            return dict;
        }
        if (*r->at != ',') {
            refuse();
            break;
        }
        r->at++;
        skip_space(r);
    }
    Py_XDECREF(dict);
    return NULL;
}

static bool take(reader *r, const char *word, size_t length)
{
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) {
        return false;
    }
    r->at += length;
    return true;
}

#define TAKE(r, word) take(r, word, sizeof word - 1)

static PyObject *read_value(reader *r)
{
    PyObject *value;
    switch (*r->at) {
    case '"':
        r->at++;
        return read_string(r, false);
    case '{':
        r->at++;
        if (Py_EnterRecursiveCall(" while decoding a JSON object from a unicode string") != 0) {
            return NULL;
        }
        value = read_object(r);
        Py_LeaveRecursiveCall();
        return value;
    case '[':
        r->at++;
        if (Py_EnterRecursiveCall(" while decoding a JSON array from a unicode string") != 0) {
            return NULL;
        }
        value = read_array(r);
        Py_LeaveRecursiveCall();
        return value;
    case 'n':
        return TAKE(r, "null") ? Py_NewRef(Py_None) : refuse();
    case 't':
        return TAKE(r, "true") ? Py_NewRef(Py_True) : refuse();
    case 'f':
        return TAKE(r, "false") ? Py_NewRef(Py_False) : refuse();
    case 'N':
        return TAKE(r, "NaN") ? PyFloat_FromDouble(Py_NAN) : refuse();
    case 'I':
        return TAKE(r, "Infinity") ? PyFloat_FromDouble(Py_HUGE_VAL) : refuse();
    case '-':
        if (r->at[1] == 'I') {
            return TAKE(r, "-Infinity") ? PyFloat_FromDouble(-Py_HUGE_VAL) : refuse();
        }
        return read_number(r);
    default:
        return read_number(r);
    }
}

/* Nothing that is built here can be garbage yet, and there is no cycle in it: every round of the collector meanwhile
   would look at all of it in vain (a seventh of the time for 6 MB of small objects). Its switch is the process's, so it
   is only touched where no other thread can run meanwhile. */
static bool pause_collector(Py_ssize_t length)
{
#ifdef Py_GIL_DISABLED
    if (!__libc_single_threaded) {
        return false;
    }
#endif
    return length >= LONG_TEXT && PyGC_Disable() != 0;
}

static PyObject *decode(reader *r, Py_ssize_t length)
{
    PyObject *keys[KEYS];
    if (length >= REPEATING_TEXT) {
        memset(keys, 0, sizeof keys);
        r->keys = keys;
    }
    const bool paused = pause_collector(length);
    skip_space(r);
    PyObject *value = read_value(r);
    if (paused) {
        PyGC_Enable();
    }
    if (value != NULL) {
        skip_space(r);
        if (r->at != r->end) {
            Py_DECREF(value);
            value = refuse();
        }
    }
    for (size_t i = 0; r->keys != NULL && i < KEYS; i++) {
        Py_XDECREF(keys[i]);
    }
    PyMem_Free(r->values);
    PyMem_Free(r->scratch);
    return value;
}

PyObject *json_decode(const char *text, Py_ssize_t length)
{
    return decode(&(reader){.at = text, .end = text + length}, length);
}

PyObject *json_decode_holder(PyObject **holder)
{
    const char *text = PyUnicode_DATA(*holder);
    Py_ssize_t length = PyUnicode_GET_LENGTH(*holder);
    reader r = {.at = text, .end = text + length, .holder = *holder};
    *holder = NULL; /* the reader's until it ends */
    PyObject *value = decode(&r, length);
    *holder = r.holder;
    if (r.taken != NULL) {
        if (value == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear();
            *holder = put_together(&r);
            if (*holder != NULL) {
                refuse();
            }
        }
        Py_DECREF(r.taken);
        PyMem_Free(r.around);
    }
    return value;
}
