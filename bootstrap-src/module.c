/* The extension module `_runtime_api`: what the Python policy sees of the C side.
 *
 * Joins runtime_api.c (sockets, no Python), json_encode.c and json_decode.c (Python, no sockets). Refuses to decide anything: what a
 * status means, what is logged and when the process ends is policy (make_runtime/loop.py).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json_decode.h"
#include "json_encode.h"
#include "memory.h"
#include "runtime_api.h"

typedef struct {
    PyObject *error;  /* _runtime_api.Error: the Runtime API could not be reached or understood */
    PyTypeObject *client;
    PyTypeObject *event;
} module_state;

/* The text of a large event, in memory that the largest string in it can take over (json_decode.h). For Python it is
   something that bytes() takes. */
typedef struct {
    PyObject_HEAD
    PyObject *text; /* owned: a str that is none yet (its data are any bytes), a bytes object, or NULL: taken over */
} event_object;

typedef struct {
    PyObject_HEAD
    ra_client *http;       /* owned */
    atomic_flag busy;      /* one request at a time: the C client is not thread-safe, and a GIL does not help, as it
                              is released while waiting */
    PyThreadState *thread; /* of the call under way, while it has released the GIL */
    int wake[2];           /* pipe, made when first needed; -1 before */
    ino_t wake_inode;      /* of that pipe */
    unsigned connections;  /* that http had made when the pipe was last known to be ours */
    unsigned generation;   /* of the process that made it, see forks */
} client_object;

/* How many forks lie between the process that loaded this module and this one. A handler that forks and whose child
   returns would otherwise answer twice and poll on its parent's connection, whose bytes the two would then share. */
static unsigned forks;

static void count_fork(void)
{
    forks++; /* in the child, which has one thread */
}

static struct PyModuleDef module_definition;

static module_state *state_of_client(client_object *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

/* EINTR while waiting: Python's own signal handlers run now, on the main thread; what they raise ends the wait. */
static int interrupted(void *context)
{
    client_object *self = context;
    PyEval_RestoreThread(self->thread);
    int stop = PyErr_CheckSignals();
    self->thread = PyEval_SaveThread();
    return stop;
}

static int enter_call(client_object *self)
{
    if (self->generation != forks) {
        PyErr_SetString(state_of_client(self)->error,
                        "this process was forked by a handler: only its parent can use the Runtime API");
        return -1;
    }
    if (atomic_flag_test_and_set(&self->busy)) {
        PyErr_SetString(PyExc_RuntimeError, "this client is in use by another thread");
        return -1;
    }
    return 0;
}

static void leave_call(client_object *self)
{
    atomic_flag_clear(&self->busy);
}

/* Documented, but not exported by shared libpythons before 3.13 (those that tests link; ours is static): do without. */
#pragma weak PySignal_SetWakeupFd

/* A handler that closes descriptors it does not know takes the connection and the pipe from us, and their numbers may then be
   anything: the new connection's, a file of the function's. A lost connection is when to look. */
static void forget_closed_pipe(client_object *self)
{
    struct stat now;
    unsigned connections = ra_connections(self->http);
    if (self->wake[0] < 0 || self->connections == connections) {
        return;
    }
    self->connections = connections;
    if (fstat(self->wake[0], &now) < 0 || !S_ISFIFO(now.st_mode) || now.st_ino != self->wake_inode) {
        self->wake[0] = self->wake[1] = -1; /* not closed: they are not ours any more */
    }
}

static void make_pipe(client_object *self)
{
    struct stat made;
    if (pipe2(self->wake, O_NONBLOCK | O_CLOEXEC) < 0) {
        self->wake[0] = self->wake[1] = -1; /* out of descriptors: EINTR has to do */
        return;
    }
    self->wake_inode = fstat(self->wake[0], &made) == 0 ? made.st_ino : 0;
    self->connections = ra_connections(self->http);
}

/* While the main thread waits for an invocation, Python's C signal handler writes to our pipe (its "wakeup fd"), so that
   no signal can slip in between the last look and the wait, or vanish into another thread. Where user code has a
   wakeup fd of its own (an event loop that is never closed), that one stays, and EINTR has to do.
   Returns -1 with an exception when a Python handler raised. */
static int watch_signals(client_object *self)
{
    /* Two system calls, asked once a thread. A thread that forks becomes the child's main thread and does not notice: its
       child does not poll. */
    static _Thread_local signed char is_main = -1;
    if (is_main < 0) {
        is_main = gettid() == getpid();
    }
    if (!is_main || PySignal_SetWakeupFd == NULL) {
        return 0; /* Python runs signal handlers on the main thread only */
    }
    forget_closed_pipe(self);
    if (self->wake[0] < 0) {
        make_pipe(self);
    }
    if (self->wake[0] >= 0) {
        int theirs = PySignal_SetWakeupFd(self->wake[1]);
        if (theirs >= 0) {
            (void)PySignal_SetWakeupFd(theirs);
        } else {
            ra_wake_on(self->http, self->wake[0]);
        }
    }
    return PyErr_CheckSignals(); /* what came before we watched */
}

static void unwatch_signals(client_object *self)
{
    ra_wake_on(self->http, -1);
    if (self->wake[1] >= 0) {
        int installed = PySignal_SetWakeupFd(-1);
        if (installed >= 0 && installed != self->wake[1]) {
            (void)PySignal_SetWakeupFd(installed); /* a signal handler set its own meanwhile */
        }
    }
}

#define WITHOUT_GIL(self, statement)                                                                                   \
    do {                                                                                                               \
        (self)->thread = PyEval_SaveThread();                                                                          \
        statement;                                                                                                     \
        PyEval_RestoreThread((self)->thread);                                                                          \
    } while (0)

static PyObject *raise_error(client_object *self, ra_result result)
{
    if (result == RA_NO_MEMORY) {
        return PyErr_NoMemory();
    }
    if (result == RA_INTERRUPTED && PyErr_Occurred()) {
        return NULL; /* the signal handler's own exception */
    }
    if (result == RA_BAD_ARGUMENT) {
        PyErr_SetString(PyExc_ValueError, ra_detail(self->http, result));
        return NULL;
    }
    PyErr_SetString(state_of_client(self)->error, ra_detail(self->http, result));
    return NULL;
}

#define LARGE_EVENT 65536 /* bytes */

/* An Event around text, which it steals. */
static PyObject *make_event(client_object *self, PyObject *text)
{
    PyTypeObject *type = state_of_client(self)->event;
    event_object *event = (event_object *)type->tp_alloc(type, 0);
    if (event == NULL) {
        Py_DECREF(text);
        return NULL;
    }
    event->text = text;
    return (PyObject *)event;
}

/* The answer's body, read straight into the object when its length is known: bytes, or an Event for a large one. */
static PyObject *read_body(client_object *self, const ra_head *head)
{
    ra_result result;
    if (head->length >= 0) {
        const bool large = head->status == 200 && head->length >= LARGE_EVENT;
        if (large) {
            memory_expect((size_t)head->length);
        }
        PyObject *body = large ? PyUnicode_New((Py_ssize_t)head->length, 127)
                               : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head->length);
        if (body == NULL) {
            return NULL;
        }
        /* Nobody else can see the object yet, so writing into it without the GIL is safe. */
        char *to = large ? PyUnicode_DATA(body) : PyBytes_AS_STRING(body);
        if (ra_buffered(self->http) >= (size_t)head->length) {
            result = ra_read_sized(self->http, to);
        } else {
            WITHOUT_GIL(self, result = ra_read_sized(self->http, to));
        }
        if (result != RA_OK) {
            Py_DECREF(body);
            return raise_error(self, result);
        }
        return large ? make_event(self, body) : body;
    }
    char *text = NULL;
    size_t length = 0;
    WITHOUT_GIL(self, result = ra_read_rest(self->http, &text, &length));
    if (result != RA_OK) {
        return raise_error(self, result);
    }
    PyObject *body = PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    free(text);
    return body;
}

static PyObject *text_or_none(ra_text text)
{
    if (text.at == NULL) {
        Py_RETURN_NONE;
    }
    /* UTF-8 as the service writes it; a stray byte must not cost an invocation. */
    return PyUnicode_DecodeUTF8(text.at, (Py_ssize_t)text.length, "surrogateescape");
}

PyDoc_STRVAR(next_doc,
             "next() -> (status, body, content_type, request_id, invocation_id, deadline_ms, function_arn, trace_id,\n"
             "           client_context, cognito_identity, tenant_id)\n\n"
             "Waits for the next invocation, for ever if need be. body is bytes or (a large one) an Event, the others\n"
             "str, or None when absent or empty. Raises Error when the Runtime API cannot be used.");

static PyObject *invocation(client_object *self, const ra_head *head)
{
    PyObject *body = read_body(self, head);
    if (body == NULL) {
        return NULL;
    }
    PyObject *parts[] = {
        PyLong_FromLong(head->status),       body,
        text_or_none(head->content_type),    text_or_none(head->request_id),
        text_or_none(head->invocation_id),   text_or_none(head->deadline_ms),
        text_or_none(head->function_arn),    text_or_none(head->trace_id),
        text_or_none(head->client_context),  text_or_none(head->cognito_identity),
        text_or_none(head->tenant_id),
    };
    const Py_ssize_t count = sizeof parts / sizeof *parts;
    PyObject *all = PyTuple_New(count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (all == NULL || parts[i] == NULL) {
            Py_CLEAR(all); /* with those that it has; the exception is set */
            Py_XDECREF(parts[i]);
        } else {
            PyTuple_SET_ITEM(all, i, parts[i]);
        }
    }
    return all;
}

static PyObject *client_next(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    client_object *self = (client_object *)object;
    ra_head head;
    ra_result result;
    if (enter_call(self) < 0) {
        return NULL;
    }
    if (watch_signals(self) < 0) {
        unwatch_signals(self);
        leave_call(self);
        return NULL;
    }
    memory_forget_start();
    WITHOUT_GIL(self, result = ra_next(self->http, &head));
    unwatch_signals(self);
    PyObject *answer = result == RA_OK ? invocation(self, &head) : raise_error(self, result);
    leave_call(self);
    return answer;
}

/* (status, body) of an answer whose request was sent. */
static PyObject *status_and_body(client_object *self, ra_result result, const ra_head *head)
{
    if (result != RA_OK) {
        return raise_error(self, result);
    }
    PyObject *body = read_body(self, head);
    return body == NULL ? NULL : Py_BuildValue("(iN)", head->status, body);
}

PyDoc_STRVAR(respond_doc, "respond(request_id, invocation_id or None, content_type, body) -> (status, body)\n\n"
                          "Posts an invocation's result. body is any bytes-like object, or what encode_parts gave, and is\n"
                          "sent from where it is.");

/* Points `parts` at a body's memory, which `view` or the tuple holds. Returns how many there are, or -1. */
static Py_ssize_t body_parts(PyObject *body, Py_buffer *view, struct iovec parts[RA_PARTS_MAX])
{
    _Static_assert(JSON_PARTS_MAX <= RA_PARTS_MAX, "what is encoded can be sent");
    if (!PyTuple_CheckExact(body)) {
        if (PyObject_GetBuffer(body, view, PyBUF_SIMPLE) < 0) {
            return -1;
        }
        parts[0] = (struct iovec){view->buf, (size_t)view->len};
        return 1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(body);
    for (Py_ssize_t i = 0; i < count && i < RA_PARTS_MAX; i++) {
        PyObject *part = PyTuple_GET_ITEM(body, i);
        if (PyBytes_Check(part)) {
            parts[i] = (struct iovec){PyBytes_AS_STRING(part), (size_t)PyBytes_GET_SIZE(part)};
        } else if (PyUnicode_Check(part) && PyUnicode_IS_COMPACT_ASCII(part)) {
            parts[i] = (struct iovec){PyUnicode_DATA(part), (size_t)PyUnicode_GET_LENGTH(part)};
        } else {
            PyErr_SetString(PyExc_TypeError, "a part of a body must be bytes or an ASCII str");
            return -1;
        }
    }
    return count; /* too many are ra_respond's to refuse */
}

static PyObject *client_respond(PyObject *object, PyObject *arguments)
{
    client_object *self = (client_object *)object;
    const char *request_id, *invocation_id, *content_type;
    PyObject *body;
    Py_buffer view = {0};
    struct iovec parts[RA_PARTS_MAX];
    ra_head head;
    ra_result result;
    if (!PyArg_ParseTuple(arguments, "szsO:respond", &request_id, &invocation_id, &content_type, &body)) {
        return NULL;
    }
    Py_ssize_t count = body_parts(body, &view, parts);
    PyObject *answer = NULL;
    if (count >= 0 && enter_call(self) == 0) {
        WITHOUT_GIL(self, result = ra_respond(self->http, request_id, invocation_id, content_type, parts, (size_t)count,
                                              &head));
        answer = status_and_body(self, result, &head);
        leave_call(self);
    }
    PyBuffer_Release(&view); /* nothing, when there is none */
    return answer;
}

PyDoc_STRVAR(fail_doc, "fail(request_id, invocation_id or None, xray_cause or None, body) -> (status, body)\n\n"
                       "Posts an invocation's error. xray_cause is one line of ASCII JSON.");

static PyObject *client_fail(PyObject *object, PyObject *arguments)
{
    client_object *self = (client_object *)object;
    const char *request_id, *invocation_id, *cause;
    Py_buffer body;
    ra_head head;
    ra_result result;
    if (!PyArg_ParseTuple(arguments, "szzy*:fail", &request_id, &invocation_id, &cause, &body)) {
        return NULL;
    }
    PyObject *answer = NULL;
    if (enter_call(self) == 0) {
        WITHOUT_GIL(self, result = ra_fail(self->http, request_id, invocation_id, cause, body.buf, (size_t)body.len,
                                           &head));
        answer = status_and_body(self, result, &head);
        leave_call(self);
    }
    PyBuffer_Release(&body);
    return answer;
}

PyDoc_STRVAR(init_fail_doc, "init_fail(error_type, body) -> (status, body)\n\nPosts an error of the init phase.");

static PyObject *client_init_fail(PyObject *object, PyObject *arguments)
{
    client_object *self = (client_object *)object;
    const char *type;
    Py_buffer body;
    ra_head head;
    ra_result result;
    if (!PyArg_ParseTuple(arguments, "sy*:init_fail", &type, &body)) {
        return NULL;
    }
    PyObject *answer = NULL;
    if (enter_call(self) == 0) {
        WITHOUT_GIL(self, result = ra_init_fail(self->http, type, body.buf, (size_t)body.len, &head));
        answer = status_and_body(self, result, &head);
        leave_call(self);
    }
    PyBuffer_Release(&body);
    return answer;
}

/* ---- next, for event loops ---------------------------------------------------------------------------------- */

PyDoc_STRVAR(next_send_doc, "next_send() -> descriptor\n\nAsks for the next invocation without waiting for it: when the\n"
                            "descriptor is readable, next_receive() has it.");

static PyObject *client_next_send(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    client_object *self = (client_object *)object;
    ra_result result;
    if (enter_call(self) < 0) {
        return NULL;
    }
    memory_forget_start();
    WITHOUT_GIL(self, result = ra_next_send(self->http));
    PyObject *answer =
        result == RA_OK ? PyLong_FromLong(ra_descriptor(self->http)) : raise_error(self, result);
    leave_call(self);
    return answer;
}

PyDoc_STRVAR(next_receive_doc, "next_receive() -> as next(), or None: the connection was dead, next_send() again.");

static PyObject *client_next_receive(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    client_object *self = (client_object *)object;
    ra_head head;
    ra_result result;
    if (enter_call(self) < 0) {
        return NULL;
    }
    WITHOUT_GIL(self, result = ra_next_receive(self->http, &head));
    PyObject *answer = NULL;
    if (result == RA_OK) {
        answer = invocation(self, &head);
    } else if (result == RA_AGAIN) {
        answer = Py_NewRef(Py_None);
    } else {
        raise_error(self, result);
    }
    leave_call(self);
    return answer;
}

PyDoc_STRVAR(fileno_doc, "fileno() -> descriptor of the connection, or -1");

static PyObject *client_fileno(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(ra_descriptor(((client_object *)object)->http));
}

/* ---- streamed responses ------------------------------------------------------------------------------------- */

PyDoc_STRVAR(stream_open_doc, "stream_open(request_id, invocation_id or None, content_type)\n\n"
                              "Begins a response in pieces. Nothing is sent before the first piece.");

static PyObject *client_stream_open(PyObject *object, PyObject *arguments)
{
    client_object *self = (client_object *)object;
    const char *request_id, *invocation_id, *content_type;
    ra_result result;
    if (!PyArg_ParseTuple(arguments, "szs:stream_open", &request_id, &invocation_id, &content_type)) {
        return NULL;
    }
    if (enter_call(self) < 0) {
        return NULL;
    }
    WITHOUT_GIL(self, result = ra_stream_open(self->http, request_id, invocation_id, content_type));
    PyObject *answer = result == RA_OK ? Py_NewRef(Py_None) : raise_error(self, result);
    leave_call(self);
    return answer;
}

/* The bytes of a chunk: str as UTF-8 (ASCII without a copy), bytes-like objects from where they are. */
static int chunk_bytes(PyObject *chunk, Py_buffer *view)
{
    if (PyUnicode_Check(chunk)) {
#if PY_VERSION_HEX < 0x030c0000
        if (PyUnicode_READY(chunk) < 0) {
            return -1;
        }
#endif
        if (PyUnicode_IS_ASCII(chunk)) {
            return PyBuffer_FillInfo(view, chunk, PyUnicode_DATA(chunk), PyUnicode_GET_LENGTH(chunk), 1, PyBUF_SIMPLE);
        }
        /* Not AsUTF8: that would keep the copy for as long as the str lives. */
        PyObject *utf8 = PyUnicode_AsUTF8String(chunk);
        int result = utf8 == NULL ? -1 : PyObject_GetBuffer(utf8, view, PyBUF_SIMPLE);
        Py_XDECREF(utf8); /* the view holds it */
        return result;
    }
    if (!PyObject_CheckBuffer(chunk)) {
        PyErr_Format(PyExc_TypeError, "a chunk of a streamed response must be str or bytes-like, not %.100s",
                     Py_TYPE(chunk)->tp_name);
        return -1;
    }
    return PyObject_GetBuffer(chunk, view, PyBUF_SIMPLE);
}

PyDoc_STRVAR(stream_write_doc,
             "stream_write(chunk, wait=True) -> True, False or None\n\n"
             "Sends one chunk, waiting for a slow reader. False: the server has already answered, nothing more is\n"
             "wanted. None (only with wait=False): call again with the same chunk when fileno() is writable.");

static PyObject *client_stream_write(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    client_object *self = (client_object *)object;
    Py_buffer view;
    bool answered = false;
    ra_result result;
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "stream_write takes a chunk and whether to wait");
        return NULL;
    }
    int wait = count < 2 ? 1 : PyObject_IsTrue(arguments[1]);
    if (wait < 0 || chunk_bytes(arguments[0], &view) < 0) {
        return NULL;
    }
    PyObject *answer = NULL;
    if (enter_call(self) == 0) {
        WITHOUT_GIL(self, result = ra_stream_write(self->http, view.buf, (size_t)view.len, wait != 0, &answered));
        if (result == RA_AGAIN) {
            answer = Py_NewRef(Py_None);
        } else if (result == RA_OK) {
            answer = PyBool_FromLong(!answered);
        } else {
            raise_error(self, result);
        }
        leave_call(self);
    }
    PyBuffer_Release(&view);
    return answer;
}

PyDoc_STRVAR(stream_close_doc, "stream_close(error_type or None, error_body or None) -> (status, body)\n\n"
                               "Ends the stream, with an error when one is given (its body is base64).");

static PyObject *client_stream_close(PyObject *object, PyObject *arguments)
{
    client_object *self = (client_object *)object;
    const char *type, *error;
    ra_head head;
    ra_result result;
    if (!PyArg_ParseTuple(arguments, "zz:stream_close", &type, &error)) {
        return NULL;
    }
    if (enter_call(self) < 0) {
        return NULL;
    }
    WITHOUT_GIL(self, result = ra_stream_close(self->http, type, error, &head));
    PyObject *answer = status_and_body(self, result, &head);
    leave_call(self);
    return answer;
}

static PyObject *client_get_started(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(ra_stream_started(((client_object *)object)->http));
}

static PyObject *client_get_inherited(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((client_object *)object)->generation != forks);
}

static PyGetSetDef client_properties[] = {
    {"inherited", client_get_inherited, NULL, "Whether it is a parent process's: no call works.", NULL},
    {"stream_started", client_get_started, NULL, "Whether a byte of the open stream may have left.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type ----------------------------------------------------------------------------------------------- */

static PyObject *client_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    const char *address, *user_agent;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Client takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "ss:Client", &address, &user_agent)) {
        return NULL;
    }
    client_object *self = (client_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    atomic_flag_clear(&self->busy);
    self->wake[0] = self->wake[1] = -1;
    self->generation = forks;
    self->http = ra_open(address, user_agent);
    if (self->http == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    ra_on_interrupt(self->http, interrupted, self);
    return (PyObject *)self;
}

static void client_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    client_object *self = (client_object *)object;
    ra_close(self->http);
    if (self->wake[0] >= 0) {
        close(self->wake[0]);
        close(self->wake[1]);
    }
    type->tp_free(object);
    Py_DECREF(type); /* instances of heap types hold their type */
}

static PyMethodDef client_methods[] = {
    {"next", client_next, METH_NOARGS, next_doc},
    {"respond", client_respond, METH_VARARGS, respond_doc},
    {"fail", client_fail, METH_VARARGS, fail_doc},
    {"init_fail", client_init_fail, METH_VARARGS, init_fail_doc},
    {"next_send", client_next_send, METH_NOARGS, next_send_doc},
    {"next_receive", client_next_receive, METH_NOARGS, next_receive_doc},
    {"fileno", client_fileno, METH_NOARGS, fileno_doc},
    {"stream_open", client_stream_open, METH_VARARGS, stream_open_doc},
    {"stream_write", (PyCFunction)(void (*)(void))client_stream_write, METH_FASTCALL, stream_write_doc},
    {"stream_close", client_stream_close, METH_VARARGS, stream_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, "Client(address, user_agent): one keep-alive connection to the Runtime API."},
    {Py_tp_new, client_new},
    {Py_tp_dealloc, client_dealloc},
    {Py_tp_methods, client_methods},
    {Py_tp_getset, client_properties},
    {0, NULL},
};

static PyType_Spec client_spec = {
    .name = "_runtime_api.Client",
    .basicsize = sizeof(client_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = client_slots,
};

/* ---- large events ------------------------------------------------------------------------------------------- */

static int event_buffer(PyObject *object, Py_buffer *view, int flags)
{
    PyObject *text = ((event_object *)object)->text;
    if (text == NULL) {
        PyErr_SetString(PyExc_BufferError, "the event's memory was taken over when it was decoded");
        view->obj = NULL;
        return -1;
    }
    if (PyBytes_Check(text)) {
        return PyBuffer_FillInfo(view, object, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), 1, flags);
    }
    return PyBuffer_FillInfo(view, object, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), 1, flags);
}

static void event_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((event_object *)object)->text);
    type->tp_free(object);
    Py_DECREF(type); /* instances of heap types hold their type */
}

static PyType_Slot event_slots[] = {
    {Py_tp_doc, "The text of a large event; bytes() copies it."},
    {Py_tp_dealloc, event_dealloc},
    {Py_bf_getbuffer, event_buffer},
    {0, NULL},
};

static PyType_Spec event_spec = {
    .name = "_runtime_api.Event",
    .basicsize = sizeof(event_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = event_slots,
};

/* ---- the module --------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(encode_doc, "encode(value, ensure_ascii) -> bytes\n\n"
                         "json.dumps(value) in UTF-8, with named tuples as objects, Decimal as its digits and bytes as text.");

static PyObject *module_encode(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *value;
    int ensure_ascii;
    if (!PyArg_ParseTuple(arguments, "Op:encode", &value, &ensure_ascii)) {
        return NULL;
    }
    return json_encode(value, ensure_ascii != 0);
}

PyDoc_STRVAR(encode_parts_doc, "encode_parts(value, ensure_ascii) -> bytes, or a tuple of bytes and str\n\n"
                               "encode() for respond(): large text stays where it is.");

static PyObject *module_encode_parts(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *value;
    int ensure_ascii;
    if (!PyArg_ParseTuple(arguments, "Op:encode_parts", &value, &ensure_ascii)) {
        return NULL;
    }
    return json_encode_parts(value, ensure_ascii != 0);
}

PyDoc_STRVAR(decode_doc, "decode(str, bytes or Event) -> value\n\n"
                         "json.loads of UTF-8, or ValueError without a reason: json.loads knows it. An Event may be empty\n"
                         "afterwards, unless it was refused.");

static PyObject *module_decode(PyObject *module, PyObject *text)
{
    module_state *state = PyModule_GetState(module);
    Py_ssize_t length = 0;
    if (Py_IS_TYPE(text, state->event)) {
        event_object *event = (event_object *)text;
        if (event->text != NULL && PyUnicode_Check(event->text)) {
            return json_decode_holder(&event->text);
        }
        text = event->text == NULL ? Py_None : event->text;
    }
    if (PyBytes_Check(text)) {
        return json_decode(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
    }
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &length); /* TypeError for what is not str */
    return utf8 == NULL ? NULL : json_decode(utf8, length);
}

PyDoc_STRVAR(compile_doc, "compile(source, path, mode, *, dont_inherit, optimize)\n\n"
                          "What compile() returns, for the one kind of call that the import system makes.");

/* The builtin first asks whether it was given a syntax tree, and for that creates all types of the module _ast: a
   quarter of the instructions of a cold start whose handler has no .pyc file (CPython 3.9 to 3.15, bltinmodule.c:
   PyAST_Check). Bytes are none. Whatever is not exactly what SourceLoader.source_to_code does goes to the builtin. */
static PyObject *module_compile(PyObject *Py_UNUSED(module), PyObject *args, PyObject *keywords)
{
    PyObject *dont_inherit = keywords == NULL ? NULL : PyDict_GetItemString(keywords, "dont_inherit");
    PyObject *optimize = keywords == NULL ? NULL : PyDict_GetItemString(keywords, "optimize");
    PyObject *source = NULL, *path = NULL;
    if (PyTuple_GET_SIZE(args) == 3 && dont_inherit == Py_True && optimize != NULL && PyLong_CheckExact(optimize) &&
        PyDict_GET_SIZE(keywords) == 2) {
        PyObject *mode = PyTuple_GET_ITEM(args, 2);
        source = PyTuple_GET_ITEM(args, 0);
        path = PyTuple_GET_ITEM(args, 1);
        if (!PyBytes_CheckExact(source) || !PyUnicode_CheckExact(path) || !PyUnicode_Check(mode) ||
            PyUnicode_CompareWithASCIIString(mode, "exec") != 0 || PyLong_AsLong(optimize) != -1 ||
            strlen(PyBytes_AS_STRING(source)) != (size_t)PyBytes_GET_SIZE(source)) {
            source = NULL;
        }
        PyErr_Clear(); /* PyLong_AsLong, of a number that is no level */
    }
    if (source == NULL) {
        PyObject *builtin = PyDict_GetItemString(PyEval_GetBuiltins(), "compile"); /* borrowed */
        return builtin == NULL ? PyErr_Format(PyExc_NameError, "name 'compile' is not defined")
                               : PyObject_Call(builtin, args, keywords);
    }
    PyCompilerFlags flags = {.cf_flags = PyCF_SOURCE_IS_UTF8, .cf_feature_version = PY_MINOR_VERSION};
    return Py_CompileStringObject(PyBytes_AS_STRING(source), path, Py_file_input, &flags, -1);
}

PyDoc_STRVAR(put_trace_id_doc, "put_trace_id(bytes)\n\nputenv of _X_AMZN_TRACE_ID, again and again without growing.");

/* setenv keeps every value it was ever given, because somebody may still hold what getenv returned (glibc: 144 bytes for
   each invocation, seen as 140 MB after a million). A few places taken in turn are enough here: who reads the variable
   in another thread has that long to finish. */
static PyObject *module_put_trace_id(PyObject *Py_UNUSED(module), PyObject *value)
{
    static const char name[] = "_X_AMZN_TRACE_ID=";
    static char places[4][512]; /* the environment points into them; written by the thread that takes invocations only */
    static unsigned turn;
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(value, &text, &length) < 0) {
        return NULL;
    }
    if (strlen(text) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "embedded null byte");
        return NULL;
    }
    if ((size_t)length < sizeof places[0] - sizeof name) {
        char *place = places[turn++ % 4];
        memcpy(place, name, sizeof name - 1);
        memcpy(place + sizeof name - 1, text, (size_t)length + 1);
        return putenv(place) == 0 ? Py_NewRef(Py_None) : PyErr_SetFromErrno(PyExc_OSError);
    }
    return setenv("_X_AMZN_TRACE_ID", text, 1) == 0 ? Py_NewRef(Py_None) : PyErr_SetFromErrno(PyExc_OSError);
}

PyDoc_STRVAR(die_with_parent_doc, "die_with_parent()\n\nMakes the kernel kill this process when its parent is gone.");

static PyObject *module_die_with_parent(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* fails for an invalid signal only */
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"encode", module_encode, METH_VARARGS, encode_doc},
    {"encode_parts", module_encode_parts, METH_VARARGS, encode_parts_doc},
    {"decode", module_decode, METH_O, decode_doc},
    {"compile", (PyCFunction)(void (*)(void))module_compile, METH_VARARGS | METH_KEYWORDS, compile_doc},
    {"put_trace_id", module_put_trace_id, METH_O, put_trace_id_doc},
    {"die_with_parent", module_die_with_parent, METH_NOARGS, die_with_parent_doc},
    {NULL, NULL, 0, NULL},
};

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork); /* without memory for it, forks are not noticed */
}

static int module_exec(PyObject *module)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT; /* every interpreter executes the module */
    (void)pthread_once(&watched, watch_forks);
    module_state *state = PyModule_GetState(module);
    state->error = PyErr_NewExceptionWithDoc("_runtime_api.Error", "The Runtime API could not be reached or understood.",
                                             NULL, NULL);
    if (state->error == NULL || PyModule_AddObjectRef(module, "Error", state->error) < 0) {
        return -1;
    }
    state->client = (PyTypeObject *)PyType_FromModuleAndSpec(module, &client_spec, NULL);
    if (state->client == NULL) {
        return -1;
    }
    state->event = (PyTypeObject *)PyType_FromModuleAndSpec(module, &event_spec, NULL);
    if (state->event == NULL) {
        return -1;
    }
    return PyModule_AddType(module, state->client);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_VISIT(state->error);
        Py_VISIT(state->client);
        Py_VISIT(state->event);
    }
    return 0;
}

static int module_clear(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_CLEAR(state->error);
        Py_CLEAR(state->client);
        Py_CLEAR(state->event);
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* without it, importing us would turn the GIL back on */
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_runtime_api",
    .m_doc = "Client of the Lambda Runtime API and JSON codec of make-runtime's bootstrap.",
    .m_size = sizeof(module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__runtime_api(void);

PyMODINIT_FUNC PyInit__runtime_api(void)
{
    return PyModuleDef_Init(&module_definition);
}
