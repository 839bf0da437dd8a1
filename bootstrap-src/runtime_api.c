/* HTTP/1.1 for the Lambda Runtime API. See runtime_api.h for what this refuses to know.
 *
 * Invariants
 *  - `in` holds one answer's head in [0, head_end); body bytes already received sit in [pos, end), pos >= head_end.
 *    While a body is read, [head_end, capacity) is reused as the receive window, so the head's text stays in place.
 *  - `body` says what is left to read of the current answer; BODY_DONE means the connection is at a message boundary.
 *  - `stream` is STREAM_NONE outside of a streamed response. STREAM_OPEN: nothing of it was sent, it can be
 *    forgotten. STREAM_STARTED: only more of it, its end, or a new connection can follow. STREAM_BROKEN: it has lost its
 *    connection.
 *  - fd is -1 or a connected blocking socket. A connection is only kept when the last answer was read completely, the
 *    server did not ask to close, and nothing follows the answer.
 */
#include "runtime_api.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define API "/2018-06-01/runtime"
#define WINDOW_MIN ((size_t)16 << 10)
#define LINE_MAX_LENGTH 4096 /* of a chunk-size or trailer line */
#define TRAILER_LINES_MAX 256

typedef enum { BODY_DONE, BODY_SIZED, BODY_CHUNKED, BODY_UNTIL_CLOSE } body_kind;

struct ra_client {
    char *host; /* without brackets */
    char *port;
    char *address; /* as given: the Host header */
    char *user_agent;
    int fd;
    int wake_fd;     /* not ours; -1 for none */
    unsigned connections;
    ino_t inode;          /* of the connection's socket where there are several clients, else 0 */
    unsigned taken_seen;
    bool reused;     /* the connection has carried a complete exchange */
    bool must_close; /* after the current answer */
    bool cut_short;  /* ra_next_send could not send all: the connection must not carry another request */
    char *in;
    size_t capacity, head_end, pos, end;
    body_kind body;
    uint64_t body_left; /* BODY_SIZED */
    char *stream_head;  /* of the open stream until it was sent; owned */
    size_t stream_head_length;
    enum { STREAM_NONE, STREAM_OPEN, STREAM_STARTED, STREAM_ANSWERED, STREAM_BROKEN } stream;
    size_t chunk_length, chunk_sent; /* of a chunk that is partly sent; chunk_sent counts the framing too */
    ra_interrupted interrupted;
    void *interrupted_context;
    char detail[256];
};

/* ---- small things ------------------------------------------------------------------------------------------- */

static ra_result failed(ra_client *c, ra_result result, const char *format, ...) __attribute__((format(printf, 3, 4)));

static ra_result failed(ra_client *c, ra_result result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->detail, sizeof c->detail, format, arguments);
    va_end(arguments);
    return result;
}

/* Code that closes descriptors it does not know (closerange(3, 100)) takes every client's connection, and the first to
   connect again may get the number of another's: two would then talk on one. Who finds its descriptor closed says so
   here, before it connects; the others then look whether theirs is still what it was. With one client nobody else's can
   be mistaken for it, and nothing is looked at. */
static atomic_uint taken;   /* how often a descriptor was found closed */
static atomic_uint clients; /* that are open */

static void give_up_descriptor(ra_client *c)
{
    c->fd = -1; /* not closed: the number may be somebody's already */
    atomic_fetch_add(&taken, 1);
}

static bool descriptor_taken(ra_client *c)
{
    unsigned now = atomic_load(&taken);
    struct stat socket_now;
    if (c->inode == 0 || c->taken_seen == now) {
        return false;
    }
    c->taken_seen = now;
    if (fstat(c->fd, &socket_now) == 0 && socket_now.st_ino == c->inode) {
        return false;
    }
    give_up_descriptor(c); /* said again: it may have been closed long ago, and others a moment ago by our own handler */
    return true;
}

/* A socket of which is known what it is before anything else can happen to it: while it connects it may be closed, and its
   number given to another. */
static int make_socket(ra_client *c, const struct addrinfo *a)
{
    struct stat made;
    c->taken_seen = atomic_load(&taken);
    c->inode = 0;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd >= 0 && atomic_load(&clients) > 1) {
        c->inode = fstat(fd, &made) == 0 ? made.st_ino : (ino_t)-1;
    }
    return fd;
}

static void forget_stream(ra_client *c)
{
    c->stream = STREAM_NONE;
    c->chunk_sent = 0;
    free(c->stream_head);
    c->stream_head = NULL;
}

static void disconnect(ra_client *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    c->reused = false;
    c->must_close = false;
    c->cut_short = false;
    c->body = BODY_DONE;
    c->head_end = c->pos = c->end = 0;
    forget_stream(c);
}

/* After EINTR: true when the call has to end. */
static bool stop_asked(ra_client *c)
{
    return c->interrupted != NULL && c->interrupted(c->interrupted_context) != 0;
}

ra_client *ra_open(const char *address, const char *user_agent)
{
    ra_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    atomic_fetch_add(&clients, 1);
    c->fd = c->wake_fd = -1;
    c->address = strdup(address);
    c->user_agent = strdup(user_agent);
    if (c->address == NULL || c->user_agent == NULL) {
        ra_close(c);
        return NULL;
    }
    return c;
}

void ra_close(ra_client *c)
{
    if (c == NULL) {
        return;
    }
    disconnect(c);
    atomic_fetch_sub(&clients, 1);
    free(c->host);
    free(c->port);
    free(c->address);
    free(c->user_agent);
    free(c->in);
    free(c);
}

void ra_on_interrupt(ra_client *c, ra_interrupted callback, void *context)
{
    c->interrupted = callback;
    c->interrupted_context = context;
}

void ra_wake_on(ra_client *c, int fd)
{
    c->wake_fd = fd;
}

const char *ra_detail(const ra_client *c, ra_result result)
{
    switch (result) {
    case RA_OK:
        return "no error";
    case RA_NO_MEMORY:
        return "out of memory";
    case RA_CLOSED:
        return "the Runtime API closed the connection before its answer was complete";
    case RA_AGAIN:
        return "not ready";
    case RA_INTERRUPTED:
        return "interrupted by a signal handler";
    default:
        return c->detail[0] != '\0' ? c->detail : "the Runtime API could not be used";
    }
}

/* ---- connecting --------------------------------------------------------------------------------------------- */

/* "host:port", "[v6]:port". Done at the first connect, so that ra_open can only fail for memory. */
static ra_result split_address(ra_client *c)
{
    const char *text = c->address, *host_end, *port;
    size_t skip = 0;
    if (c->host != NULL) {
        return RA_OK;
    }
    if (text[0] == '[') {
        host_end = strchr(text, ']');
        skip = 1;
        if (host_end == NULL || host_end[1] != ':') {
            return failed(c, RA_BAD_ADDRESS, "'%.100s' is not host:port", text);
        }
        port = host_end + 2;
    } else {
        host_end = strrchr(text, ':');
        if (host_end == NULL) {
            return failed(c, RA_BAD_ADDRESS, "'%.100s' is not host:port", text);
        }
        port = host_end + 1;
    }
    size_t host_length = (size_t)(host_end - (text + skip));
    size_t digits = strspn(port, "0123456789");
    if (host_length == 0 || digits == 0 || digits > 5 || port[digits] != '\0' || strpbrk(text, "\r\n \t/") != NULL) {
        return failed(c, RA_BAD_ADDRESS, "'%.100s' is not host:port", text);
    }
    c->port = strdup(port);
    c->host = c->port == NULL ? NULL : strndup(text + skip, host_length);
    return c->host == NULL ? RA_NO_MEMORY : RA_OK;
}

/* connect(2) goes on in the background after EINTR: wait for its end instead of calling it again (POSIX). */
static int connect_fully(ra_client *c, int fd, const struct sockaddr *to, socklen_t length)
{
    if (connect(fd, to, length) == 0) {
        return 0;
    }
    while (errno == EINTR) {
        if (stop_asked(c)) {
            errno = ECANCELED;
            return -1;
        }
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (poll(&wait, 1, -1) > 0) {
            int error = 0;
            socklen_t size = sizeof error;
            if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
                errno = error;
            }
            return errno == 0 ? 0 : -1;
        }
    }
    return -1;
}

static ra_result connect_now(ra_client *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    ra_result result = split_address(c);
    if (result != RA_OK) {
        return result;
    }
    /* Numeric first: it is what Lambda gives, and asking for a name would load nsswitch and resolv.conf. */
    int error = getaddrinfo(c->host, c->port, &hints, &found);
    if (error == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV;
        error = getaddrinfo(c->host, c->port, &hints, &found);
    }
    if (error != 0) {
        return failed(c, RA_RESOLVE, "cannot resolve '%.100s': %s", c->host, gai_strerror(error));
    }
    int last = ECONNREFUSED;
    for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        int fd = make_socket(c, a);
        if (fd < 0) {
            last = errno;
            continue;
        }
        if (connect_fully(c, fd, a->ai_addr, a->ai_addrlen) == 0) {
            int one = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails on nothing that matters */
            freeaddrinfo(found);
            c->fd = fd;
            c->connections++;
            if (c->wake_fd == fd) {
                c->wake_fd = -1; /* somebody closed it, and its number is the connection's now */
            }
            return RA_OK;
        }
        last = errno;
        if (last != EBADF && last != ENOTSOCK) {
            close(fd);
        }
        if (last == ECANCELED) {
            break;
        }
    }
    freeaddrinfo(found);
    if (last == ECANCELED) {
        return RA_INTERRUPTED;
    }
    return failed(c, RA_CONNECT, "cannot connect to %.100s: %s", c->address, strerror(last));
}

/* ---- receiving ---------------------------------------------------------------------------------------------- */

/* Waits until the socket is readable or something asked to stop. */
static ra_result wait_readable(ra_client *c)
{
    struct pollfd wait[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->wake_fd, .events = POLLIN}};
    for (;;) {
        int ready = poll(wait, 2, -1);
        if (ready < 0 && errno != EINTR) {
            return failed(c, RA_IO, "cannot wait for the Runtime API: %s", strerror(errno));
        }
        if (ready < 0 || (wait[1].revents & POLLIN) != 0) {
            char signals[64];
            ssize_t n = 0;
            do {
                n = ready > 0 ? read(c->wake_fd, signals, sizeof signals) : 0;
            } while (n == (ssize_t)sizeof signals);
            if ((n == 0 && ready > 0) || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                wait[1].fd = -1; /* no longer the descriptor that it was: watching it would be a busy loop */
            }
            if (stop_asked(c)) {
                return RA_INTERRUPTED;
            }
        }
        if (ready > 0 && wait[0].revents != 0) {
            return RA_OK;
        }
        if (ready > 0 && (wait[1].revents & ~POLLIN) != 0) {
            wait[1].fd = -1; /* the function closed it: go on without */
        }
    }
}

/* One recv into `to`. *got == 0 means end of stream. */
static ra_result receive(ra_client *c, void *to, size_t room, size_t *got)
{
    for (;;) {
        if (descriptor_taken(c)) {
            return failed(c, RA_IO, "cannot read from the Runtime API: %s", strerror(EBADF));
        }
        ra_result ready = c->wake_fd >= 0 ? wait_readable(c) : RA_OK;
        if (ready != RA_OK) {
            return ready;
        }
        ssize_t n = recv(c->fd, to, room, 0);
        if (n >= 0) {
            *got = (size_t)n;
            return RA_OK;
        }
        if (errno != EINTR) {
            /* A reset is how a peer that closed with data unread says goodbye: the same thing to us as a close. */
            if (errno == ECONNRESET || errno == EPIPE) {
                *got = 0;
                return RA_OK;
            }
            failed(c, RA_IO, "cannot read from the Runtime API: %s", strerror(errno));
            if (errno == EBADF || errno == ENOTSOCK) {
                give_up_descriptor(c);
            }
            return RA_IO;
        }
        if (stop_asked(c)) {
            return RA_INTERRUPTED;
        }
    }
}

/* Makes [pos, end) non-empty. */
static ra_result refill(ra_client *c)
{
    size_t got = 0;
    if (c->pos < c->end) {
        return RA_OK;
    }
    c->pos = c->end = c->head_end;
    ra_result result = receive(c, c->in + c->end, c->capacity - c->end, &got);
    if (result != RA_OK) {
        return result;
    }
    if (got == 0) {
        return RA_CLOSED;
    }
    c->end += got;
    return RA_OK;
}

/* Exactly `n` body bytes to `to`: first what is buffered, then straight from the socket, without a copy. */
static ra_result read_exactly(ra_client *c, char *to, size_t n)
{
    size_t ready = c->end - c->pos;
    if (ready > n) {
        ready = n;
    }
    if (ready > 0) {
        memcpy(to, c->in + c->pos, ready);
        c->pos += ready;
    }
    while (ready < n) {
        size_t got = 0;
        ra_result result = receive(c, to + ready, n - ready, &got);
        if (result != RA_OK) {
            return result;
        }
        if (got == 0) {
            return RA_CLOSED;
        }
        ready += got;
    }
    return RA_OK;
}

/* A line of the chunked framing, without its CRLF. */
static ra_result read_line(ra_client *c, char line[LINE_MAX_LENGTH])
{
    size_t length = 0;
    for (;;) {
        ra_result result = refill(c);
        if (result != RA_OK) {
            return result;
        }
        char byte = c->in[c->pos++];
        if (byte == '\n') {
            if (length == 0 || line[length - 1] != '\r') {
                return failed(c, RA_MALFORMED, "a line of the chunked body does not end in CRLF");
            }
            line[length - 1] = '\0';
            return RA_OK;
        }
        if (byte == '\0' || length == LINE_MAX_LENGTH - 1) {
            return failed(c, RA_MALFORMED, "a line of the chunked body is not a line");
        }
        line[length++] = byte;
    }
}

/* ---- the head ----------------------------------------------------------------------------------------------- */

static bool is_token_char(unsigned char ch)
{
    return isalnum(ch) || (ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL);
}

static bool named(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

/* Whether a comma-separated list holds a token, in any case. */
static bool lists(ra_text list, const char *token)
{
    const char *at = list.at, *end = list.at + list.length;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        const char *from = at, *to = stop;
        while (from < to && (*from == ' ' || *from == '\t')) {
            from++;
        }
        while (to > from && (to[-1] == ' ' || to[-1] == '\t')) {
            to--;
        }
        if (named(from, (size_t)(to - from), token)) {
            return true;
        }
        at = stop + 1;
    }
    return false;
}

static ra_result parse_length(ra_client *c, ra_text text, uint64_t *length)
{
    uint64_t value = 0;
    if (text.length == 0) {
        return failed(c, RA_MALFORMED, "empty Content-Length");
    }
    for (size_t i = 0; i < text.length; i++) {
        unsigned char ch = (unsigned char)text.at[i];
        if (ch < '0' || ch > '9') {
            return failed(c, RA_MALFORMED, "Content-Length is not a number");
        }
        if (value > (UINT64_MAX - (uint64_t)(ch - '0')) / 10) {
            return failed(c, RA_TOO_LARGE, "Content-Length does not fit in 64 bits");
        }
        value = value * 10 + (uint64_t)(ch - '0');
    }
    *length = value;
    return RA_OK;
}

/* Parses in[0, head_end), which ends in an empty line. */
static ra_result parse_head(ra_client *c, ra_head *head)
{
    const char *at = c->in, *end = c->in + c->head_end;
    bool has_length = false, chunked = false, has_encoding = false, keep_alive;
    uint64_t length = 0;
    memset(head, 0, sizeof *head);

    /* "HTTP/1.x NNN reason": the first 9 bytes were checked while they arrived. */
    const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
    if (line_end == NULL || line_end - at < 12 || !isdigit((unsigned char)at[9]) || !isdigit((unsigned char)at[10]) ||
        !isdigit((unsigned char)at[11]) || (line_end - at > 12 && at[12] != ' ') ||
        memchr(at, '\0', (size_t)(line_end - at)) != NULL) {
        return failed(c, RA_MALFORMED, "the status line is not one of HTTP/1.x");
    }
    head->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    if (head->status < 100) {
        return failed(c, RA_MALFORMED, "%d is not an HTTP status", head->status);
    }
    keep_alive = at[7] == '1';
    at = line_end + 2;

    while (end - at > 2) {
        line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        const char *colon = line_end == NULL ? NULL : memchr(at, ':', (size_t)(line_end - at));
        if (colon == NULL || colon == at) {
            return failed(c, RA_MALFORMED, "a header line has no name");
        }
        for (const char *ch = at; ch < colon; ch++) {
            if (!is_token_char((unsigned char)*ch)) {
                return failed(c, RA_MALFORMED, "a header name holds a character it must not");
            }
        }
        ra_text value = {colon + 1, (size_t)(line_end - colon - 1)};
        while (value.length > 0 && (*value.at == ' ' || *value.at == '\t')) {
            value.at++;
            value.length--;
        }
        while (value.length > 0 && (value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t')) {
            value.length--;
        }
        for (size_t i = 0; i < value.length; i++) {
            if ((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') {
                return failed(c, RA_MALFORMED, "a header value holds a control character");
            }
        }
        size_t name_length = (size_t)(colon - at);
        if (named(at, name_length, "content-length")) {
            uint64_t again = 0;
            ra_result result = parse_length(c, value, &again);
            if (result != RA_OK) {
                return result;
            }
            if (has_length && again != length) {
                return failed(c, RA_MALFORMED, "two different Content-Length headers");
            }
            has_length = true;
            length = again;
        } else if (named(at, name_length, "transfer-encoding")) {
            if (has_encoding || !named(value.at, value.length, "chunked")) {
                return failed(c, RA_MALFORMED, "a Transfer-Encoding other than chunked");
            }
            has_encoding = chunked = true;
        } else if (named(at, name_length, "connection")) {
            if (lists(value, "close")) {
                keep_alive = false;
            } else if (lists(value, "keep-alive")) {
                keep_alive = true;
            }
        } else if (value.length > 0) {
            static const struct {
                const char *name;
                size_t field;
            } kept[] = {
                {"content-type", offsetof(ra_head, content_type)},
                {"lambda-runtime-aws-request-id", offsetof(ra_head, request_id)},
                {"lambda-runtime-invocation-id", offsetof(ra_head, invocation_id)},
                {"lambda-runtime-deadline-ms", offsetof(ra_head, deadline_ms)},
                {"lambda-runtime-invoked-function-arn", offsetof(ra_head, function_arn)},
                {"lambda-runtime-trace-id", offsetof(ra_head, trace_id)},
                {"lambda-runtime-client-context", offsetof(ra_head, client_context)},
                {"lambda-runtime-cognito-identity", offsetof(ra_head, cognito_identity)},
                {"lambda-runtime-aws-tenant-id", offsetof(ra_head, tenant_id)},
            };
            for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
                if (named(at, name_length, kept[i].name)) {
                    *(ra_text *)((char *)head + kept[i].field) = value;
                    break;
                }
            }
        }
        at = line_end + 2;
    }

    c->must_close = !keep_alive;
    head->length = -1;
    if (head->status < 200 || head->status == 204 || head->status == 304) {
        c->body = BODY_DONE;
        head->length = 0;
    } else if (chunked) { /* RFC 9112 6.3: it overrides Content-Length */
        c->body = BODY_CHUNKED;
    } else if (has_length) {
        if (length > RA_BODY_MAX) {
            return failed(c, RA_TOO_LARGE, "the Runtime API announced a body of %llu bytes", (unsigned long long)length);
        }
        c->body = length > 0 ? BODY_SIZED : BODY_DONE;
        c->body_left = length;
        head->length = (int64_t)length;
    } else {
        c->body = BODY_UNTIL_CLOSE;
        c->must_close = true;
    }
    return RA_OK;
}

/* The first empty line's end at or after `from` (of which [0, from) holds none), or NULL. Line by line, because memmem
   takes longer to prepare than a head is long. */
static const char *empty_line(const char *text, size_t from, size_t length)
{
    const char *at = text + from, *end = text + length;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at - text >= 4 && at[-2] == '\r' && at[-3] == '\n' && at[-4] == '\r') {
            return at;
        }
    }
    return NULL;
}

/* Reads one head, also of a 1xx answer. *any says whether at least one byte of an answer arrived: before that, a dead
   idle connection may be replaced without anybody noticing. */
static ra_result read_head(ra_client *c, ra_head *head, bool *any)
{
    static const char opening[] = "HTTP/1.";
    size_t scanned = 0;
    /* What follows a 1xx answer may already be here. */
    size_t left = c->end - c->pos;
    if (left > 0) {
        memmove(c->in, c->in + c->pos, left);
    }
    c->head_end = c->pos = 0;
    c->end = left;
    for (;;) {
        if (c->end > scanned) {
            size_t check = c->end < sizeof opening - 1 ? c->end : sizeof opening - 1;
            if (memcmp(c->in, opening, check) != 0 || (c->end > 7 && c->in[7] != '0' && c->in[7] != '1') ||
                (c->end > 8 && c->in[8] != ' ')) {
                return failed(c, RA_MALFORMED, "the answer does not start with HTTP/1.x");
            }
            const char *found = empty_line(c->in, scanned, c->end);
            if (found != NULL) {
                c->head_end = (size_t)(found - c->in);
                c->pos = c->head_end;
                break;
            }
            scanned = c->end;
        }
        if (c->end >= RA_HEAD_MAX) {
            return failed(c, RA_TOO_LARGE, "the answer's headers are larger than %zu bytes", RA_HEAD_MAX);
        }
        if (c->capacity - c->end < WINDOW_MIN / 2) {
            size_t larger = c->capacity < WINDOW_MIN ? WINDOW_MIN : c->capacity * 2;
            char *moved = realloc(c->in, larger);
            if (moved == NULL) {
                return RA_NO_MEMORY;
            }
            c->in = moved;
            c->capacity = larger;
        }
        size_t got = 0;
        ra_result result = receive(c, c->in + c->end, c->capacity - c->end, &got);
        if (result != RA_OK) {
            return result;
        }
        if (got == 0) {
            return RA_CLOSED;
        }
        *any = true;
        c->end += got;
    }
    /* Keep a window behind the head; texts in `head` point into the buffer, so this must come before parsing. */
    if (c->capacity - c->head_end < WINDOW_MIN / 2) {
        char *moved = realloc(c->in, c->capacity + WINDOW_MIN);
        if (moved == NULL) {
            return RA_NO_MEMORY;
        }
        c->in = moved;
        c->capacity += WINDOW_MIN;
    }
    return parse_head(c, head);
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

/* Waits until the peer takes more. *answered: it talks instead. */
static ra_result wait_writable(ra_client *c, bool *answered)
{
    for (;;) {
        struct pollfd wait = {.fd = c->fd, .events = POLLIN | POLLOUT};
        if (poll(&wait, 1, -1) > 0) {
            *answered = (wait.revents & POLLIN) != 0;
            return RA_OK;
        }
        if (errno != EINTR) {
            return failed(c, RA_IO, "cannot wait for the Runtime API: %s", strerror(errno));
        }
        if (stop_asked(c)) {
            return RA_INTERRUPTED;
        }
    }
}

/* Parts in one system call when they fit; `parts` is used up. A server that answers before it has read a large body
   (413) is listened to instead of being pushed on: *answered is set and sending ends. Waiting happens in poll, because
   a blocking send would wait for ever on a peer that waits for us to read. With `wait` false, RA_AGAIN instead.
   *sent counts what the kernel took. */
static ra_result send_parts(ra_client *c, struct iovec *parts, size_t count, bool wait, size_t *sent, bool *answered)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    if (descriptor_taken(c)) {
        return failed(c, RA_IO, "cannot write to the Runtime API: %s", strerror(EBADF));
    }
    for (;;) {
        while (message.msg_iovlen > 0 && message.msg_iov->iov_len == 0) {
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen == 0) {
            return RA_OK;
        }
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            size_t left = (size_t)n;
            *sent += left;
            while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
                left -= message.msg_iov->iov_len;
                message.msg_iov++;
                message.msg_iovlen--;
            }
            if (message.msg_iovlen > 0) {
                message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + left;
                message.msg_iov->iov_len -= left;
            }
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait) {
                return RA_AGAIN;
            }
            ra_result result = wait_writable(c, answered);
            if (result != RA_OK || *answered) {
                return result;
            }
            continue;
        }
        if (errno == EINTR) {
            if (stop_asked(c)) {
                return RA_INTERRUPTED;
            }
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET) {
            /* Gone, but its last words may be in our receive buffer. */
            *answered = true;
            return RA_OK;
        }
        failed(c, RA_IO, "cannot write to the Runtime API: %s", strerror(errno));
        if (errno == EBADF || errno == ENOTSOCK) {
            give_up_descriptor(c);
        }
        return RA_IO;
    }
}

/* Leaves the client connected and at a message boundary. */
static ra_result prepare(ra_client *c)
{
    c->detail[0] = '\0';
    if (c->stream == STREAM_OPEN || c->stream == STREAM_BROKEN) {
        forget_stream(c);
    }
    if (c->fd >= 0 && (c->must_close || c->body != BODY_DONE || c->pos != c->end || c->stream != STREAM_NONE)) {
        disconnect(c);
    }
    c->head_end = c->pos = c->end = 0;
    return c->fd < 0 ? connect_now(c) : RA_OK;
}

/* The head of the final answer; 1xx are skipped. */
static ra_result read_answer(ra_client *c, ra_head *head, bool *any)
{
    for (;;) {
        ra_result result = read_head(c, head, any);
        if (result != RA_OK || head->status >= 200) {
            return result;
        }
        if (head->status == 101) {
            return failed(c, RA_MALFORMED, "the Runtime API tried to switch protocols");
        }
    }
}

/* `body` has at most RA_PARTS_MAX parts. */
static ra_result exchange(ra_client *c, const char *head_text, size_t head_length, const struct iovec *body, size_t count,
                          ra_head *head)
{
    for (;;) {
        bool any = false, answered = false;
        ra_result result = prepare(c);
        if (result != RA_OK) {
            return result;
        }
        bool was_reused = c->reused;
        size_t sent = 0;
        struct iovec parts[1 + RA_PARTS_MAX]; /* used up by each attempt */
        parts[0] = (struct iovec){(void *)head_text, head_length};
        if (count > 0) {
            memcpy(parts + 1, body, count * sizeof *body);
        }
        result = send_parts(c, parts, 1 + count, true, &sent, &answered);
        if (result == RA_OK) {
            result = read_answer(c, head, &any);
        }
        if (result == RA_OK) {
            if (answered) {
                c->must_close = true; /* part of our request was never sent */
            }
            c->reused = true;
            return RA_OK;
        }
        disconnect(c);
        if (!(was_reused && !any && (result == RA_CLOSED || result == RA_IO))) {
            return result;
        }
        /* The idle connection was dropped, as after a freeze of the sandbox. Once more, on a fresh one: a fresh
           connection is not `reused`, so this cannot repeat. */
    }
}

/* ---- requests ----------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t length, capacity;
    ra_result result;
} request_head;

static void put(request_head *h, const char *text, size_t length)
{
    if (h->result != RA_OK) {
        return;
    }
    if (h->capacity - h->length < length) {
        size_t larger = (h->length + length) * 2 + 512;
        char *moved = realloc(h->text, larger);
        if (moved == NULL) {
            h->result = RA_NO_MEMORY;
            return;
        }
        h->text = moved;
        h->capacity = larger;
    }
    memcpy(h->text + h->length, text, length);
    h->length += length;
}

static void put_text(request_head *h, const char *text)
{
    put(h, text, strlen(text));
}

static void put_header(request_head *h, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    if (strpbrk(value, "\r\n") != NULL) {
        h->result = RA_BAD_ARGUMENT;
        return;
    }
    put_text(h, name);
    put_text(h, ": ");
    put_text(h, value);
    put_text(h, "\r\n");
}

/* RFC 3986, 2.3. Not isalnum: what that accepts beyond ASCII is the locale's affair. */
static bool unreserved(unsigned char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '.' ||
           ch == '_' || ch == '~';
}

/* Ids are UUIDs in practice; anything else is percent-encoded, as AWS's Node client does. */
static void put_segment(request_head *h, const char *id)
{
    for (; *id != '\0'; id++) {
        size_t plain = 0;
        while (unreserved((unsigned char)id[plain])) {
            plain++;
        }
        if (plain > 0) {
            put(h, id, plain);
            id += plain - 1;
        } else {
            char escaped[4];
            snprintf(escaped, sizeof escaped, "%%%02X", (unsigned char)*id);
            put(h, escaped, 3);
        }
    }
}

static void start(request_head *h, ra_client *c, const char *method, const char *before, const char *id,
                  const char *after)
{
    put_text(h, method);
    put_text(h, before);
    if (id != NULL) {
        put_segment(h, id);
    }
    put_text(h, after);
    put_text(h, " HTTP/1.1\r\n");
    put_header(h, "Host", c->address);
    put_header(h, "User-Agent", c->user_agent);
}

static ra_result finish(request_head *h, ra_client *c, const struct iovec *body, size_t count, ra_head *head)
{
    put_text(h, "\r\n");
    ra_result result = h->result;
    if (result == RA_OK) {
        result = exchange(c, h->text, h->length, body, count, head);
    } else if (result == RA_BAD_ARGUMENT) {
        failed(c, result, "a header value holds a line break");
    }
    free(h->text);
    return result;
}

static void put_body_headers(request_head *h, const char *content_type, size_t length)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", length);
    put_header(h, "Content-Type", content_type);
    put_header(h, "Content-Length", digits);
}

ra_result ra_next(ra_client *c, ra_head *head)
{
    request_head h = {0};
    start(&h, c, "GET ", API "/invocation/next", NULL, "");
    return finish(&h, c, NULL, 0, head);
}

ra_result ra_next_send(ra_client *c)
{
    request_head h = {0};
    start(&h, c, "GET ", API "/invocation/next", NULL, "");
    put_text(&h, "\r\n");
    ra_result result = h.result == RA_OK ? prepare(c) : h.result;
    if (result == RA_OK) {
        bool answered = false;
        size_t sent = 0;
        struct iovec part = {h.text, h.length};
        result = send_parts(c, &part, 1, true, &sent, &answered); /* answered: ra_next_receive finds out what */
        c->cut_short = answered;
        if (result != RA_OK) {
            disconnect(c);
        }
    }
    free(h.text);
    return result;
}

ra_result ra_next_receive(ra_client *c, ra_head *head)
{
    bool any = false, was_reused = c->reused;
    if (c->fd < 0) {
        return RA_AGAIN;
    }
    ra_result result = read_answer(c, head, &any);
    if (result == RA_OK) {
        c->must_close = c->must_close || c->cut_short;
        c->reused = true;
        return RA_OK;
    }
    disconnect(c);
    return was_reused && !any && (result == RA_CLOSED || result == RA_IO) ? RA_AGAIN : result;
}

int ra_descriptor(const ra_client *c)
{
    return c->fd;
}

unsigned ra_connections(const ra_client *c)
{
    return c->connections;
}

ra_result ra_respond(ra_client *c, const char *request_id, const char *invocation_id, const char *content_type,
                     const struct iovec *parts, size_t count, ra_head *head)
{
    request_head h = {0};
    size_t length = 0;
    if (count > RA_PARTS_MAX) {
        return failed(c, RA_BAD_ARGUMENT, "a body of more than %d parts", RA_PARTS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        length += parts[i].iov_len;
    }
    start(&h, c, "POST ", API "/invocation/", request_id, "/response");
    put_header(&h, "Lambda-Runtime-Invocation-Id", invocation_id);
    put_body_headers(&h, content_type, length);
    return finish(&h, c, parts, count, head);
}

ra_result ra_fail(ra_client *c, const char *request_id, const char *invocation_id, const char *xray_cause,
                  const void *body, size_t length, ra_head *head)
{
    request_head h = {0};
    start(&h, c, "POST ", API "/invocation/", request_id, "/error");
    put_header(&h, "Lambda-Runtime-Invocation-Id", invocation_id);
    put_header(&h, "Lambda-Runtime-Function-XRay-Error-Cause", xray_cause);
    put_body_headers(&h, "application/json", length);
    return finish(&h, c, &(struct iovec){(void *)body, length}, 1, head);
}

ra_result ra_init_fail(ra_client *c, const char *error_type, const void *body, size_t length, ra_head *head)
{
    request_head h = {0};
    start(&h, c, "POST ", API "/init/error", NULL, "");
    put_header(&h, "Lambda-Runtime-Function-Error-Type", error_type);
    put_body_headers(&h, "application/json", length);
    return finish(&h, c, &(struct iovec){(void *)body, length}, 1, head);
}

/* ---- a response in pieces ----------------------------------------------------------------------------------- */

/* A stream cannot be sent twice, because its chunks are not kept: whether the idle connection still lives has to be
   known before the first one leaves. */
static bool gone(ra_client *c)
{
    char byte;
    if (descriptor_taken(c)) {
        return true;
    }
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

ra_result ra_stream_open(ra_client *c, const char *request_id, const char *invocation_id, const char *content_type)
{
    request_head h = {0};
    start(&h, c, "POST ", API "/invocation/", request_id, "/response");
    put_header(&h, "Lambda-Runtime-Invocation-Id", invocation_id);
    put_header(&h, "Lambda-Runtime-Function-Response-Mode", "streaming");
    put_header(&h, "Content-Type", content_type);
    put_header(&h, "Transfer-Encoding", "chunked");
    put_header(&h, "Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body");
    put_text(&h, "\r\n");
    ra_result result = h.result;
    if (result == RA_BAD_ARGUMENT) {
        failed(c, result, "a header value holds a line break");
    }
    if (result == RA_OK) {
        if (c->fd >= 0 && gone(c)) {
            disconnect(c);
        }
        result = prepare(c);
    }
    if (result != RA_OK) {
        free(h.text);
        return result;
    }
    c->stream_head = h.text;
    c->stream_head_length = h.length;
    c->stream = STREAM_OPEN;
    c->chunk_sent = 0;
    return RA_OK;
}

bool ra_stream_started(const ra_client *c)
{
    return c->stream == STREAM_STARTED || c->stream == STREAM_ANSWERED || c->stream == STREAM_BROKEN;
}

static void skip(struct iovec *parts, size_t count, size_t sent)
{
    for (size_t i = 0; i < count; i++) {
        size_t gone_before = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        parts[i].iov_base = (char *)parts[i].iov_base + gone_before;
        parts[i].iov_len -= gone_before;
        sent -= gone_before;
    }
}

ra_result ra_stream_write(ra_client *c, const void *data, size_t length, bool wait, bool *answered)
{
    *answered = c->stream == STREAM_ANSWERED;
    if (*answered || (length == 0 && c->stream != STREAM_NONE)) {
        return RA_OK;
    }
    if (c->stream == STREAM_NONE) {
        return failed(c, RA_BAD_ARGUMENT, "no stream is open");
    }
    if (c->stream == STREAM_BROKEN) {
        return failed(c, RA_IO, "the streamed response has lost its connection");
    }
    if (c->chunk_sent > 0 && c->chunk_length != length) {
        return failed(c, RA_BAD_ARGUMENT, "a chunk is still under way");
    }
    char size[24];
    int digits = snprintf(size, sizeof size, "%zx\r\n", length);
    struct iovec parts[4] = {
        {c->stream_head != NULL ? c->stream_head : (char *)"", c->stream_head != NULL ? c->stream_head_length : 0},
        {size, (size_t)digits},
        {(void *)data, length},
        {(char *)"\r\n", 2},
    };
    skip(parts, 4, c->chunk_sent);
    c->stream = STREAM_STARTED;
    c->chunk_length = length;
    ra_result result = send_parts(c, parts, 4, wait, &c->chunk_sent, answered);
    if (result == RA_AGAIN) {
        return result;
    }
    if (result != RA_OK) {
        disconnect(c); /* in the middle of a chunk there is no other way out: the server reports a truncated body */
        c->stream = STREAM_BROKEN;
        return result;
    }
    if (*answered) {
        c->stream = STREAM_ANSWERED;
    }
    c->chunk_sent = 0;
    free(c->stream_head);
    c->stream_head = NULL;
    return RA_OK;
}

ra_result ra_stream_close(ra_client *c, const char *error_type, const char *error_body, ra_head *head)
{
    request_head h = {0};
    bool answered = c->stream == STREAM_ANSWERED, any = false;
    if (c->stream == STREAM_NONE || c->stream == STREAM_BROKEN) {
        forget_stream(c);
        return failed(c, RA_IO, "the streamed response has lost its connection");
    }
    put_text(&h, "0\r\n");
    put_header(&h, "Lambda-Runtime-Function-Error-Type", error_type);
    put_header(&h, "Lambda-Runtime-Function-Error-Body", error_body);
    put_text(&h, "\r\n");
    ra_result result = h.result;
    if (result == RA_OK && c->chunk_sent > 0) {
        result = failed(c, RA_IO, "the streamed response was given up in the middle of a chunk");
    }
    if (result == RA_OK && !answered) {
        struct iovec parts[2] = {
            {c->stream_head, c->stream_head != NULL ? c->stream_head_length : 0},
            {h.text, h.length},
        };
        size_t sent = 0;
        result = send_parts(c, parts, 2, true, &sent, &answered);
    }
    free(h.text);
    if (result == RA_OK) {
        result = read_answer(c, head, &any);
    }
    if (result != RA_OK) {
        disconnect(c);
        return result;
    }
    c->stream = STREAM_NONE;
    free(c->stream_head);
    c->stream_head = NULL;
    c->reused = true;
    if (answered) {
        c->must_close = true;
    }
    return RA_OK;
}

/* ---- bodies ------------------------------------------------------------------------------------------------- */

size_t ra_buffered(const ra_client *c)
{
    return c->end - c->pos;
}

static ra_result body_read(ra_client *c, ra_result result)
{
    if (result != RA_OK) {
        disconnect(c);
    } else {
        c->body = BODY_DONE;
    }
    return result;
}

ra_result ra_read_sized(ra_client *c, void *to)
{
    if (c->body == BODY_DONE) {
        return RA_OK;
    }
    if (c->body != BODY_SIZED) {
        return failed(c, RA_BAD_ARGUMENT, "the body's length is not known");
    }
    return body_read(c, read_exactly(c, to, (size_t)c->body_left));
}

typedef struct {
    char *at;
    size_t length, capacity;
} grown;

static ra_result make_room(ra_client *c, grown *g, uint64_t more)
{
    if (more > RA_BODY_MAX - g->length) {
        return failed(c, RA_TOO_LARGE, "the body is larger than %zu bytes", RA_BODY_MAX);
    }
    size_t needed = g->length + (size_t)more;
    if (needed > g->capacity) {
        size_t larger = g->capacity * 2 > needed ? g->capacity * 2 : needed;
        char *moved = realloc(g->at, larger);
        if (moved == NULL) {
            return RA_NO_MEMORY;
        }
        g->at = moved;
        g->capacity = larger;
    }
    return RA_OK;
}

static ra_result read_chunks(ra_client *c, grown *g)
{
    char line[LINE_MAX_LENGTH];
    for (;;) {
        ra_result result = read_line(c, line);
        if (result != RA_OK) {
            return result;
        }
        uint64_t size = 0;
        size_t digits = strspn(line, "0123456789abcdefABCDEF");
        size_t after = digits + strspn(line + digits, " \t");
        if (digits == 0 || (line[after] != '\0' && line[after] != ';')) {
            return failed(c, RA_MALFORMED, "a chunk has no size");
        }
        for (size_t i = 0; i < digits; i++) {
            if (size > RA_BODY_MAX) {
                return failed(c, RA_TOO_LARGE, "the body is larger than %zu bytes", RA_BODY_MAX);
            }
            int ch = tolower((unsigned char)line[i]);
            size = size * 16 + (uint64_t)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
        }
        if (size == 0) {
            break;
        }
        result = make_room(c, g, size);
        if (result == RA_OK) {
            result = read_exactly(c, g->at + g->length, (size_t)size);
        }
        if (result != RA_OK) {
            return result;
        }
        g->length += (size_t)size;
        result = read_line(c, line);
        if (result != RA_OK) {
            return result;
        }
        if (line[0] != '\0') {
            return failed(c, RA_MALFORMED, "a chunk is longer than its size");
        }
    }
    for (int lines = 0; lines < TRAILER_LINES_MAX; lines++) {
        ra_result result = read_line(c, line);
        if (result != RA_OK || line[0] == '\0') {
            return result;
        }
    }
    return failed(c, RA_TOO_LARGE, "too many trailers");
}

static ra_result read_until_close(ra_client *c, grown *g)
{
    for (;;) {
        ra_result result = refill(c);
        if (result == RA_CLOSED) {
            return RA_OK;
        }
        if (result == RA_OK) {
            result = make_room(c, g, c->end - c->pos);
        }
        if (result != RA_OK) {
            return result;
        }
        memcpy(g->at + g->length, c->in + c->pos, c->end - c->pos);
        g->length += c->end - c->pos;
        c->pos = c->end;
    }
}

ra_result ra_read_rest(ra_client *c, char **body, size_t *length)
{
    grown g = {0};
    ra_result result = RA_OK;
    switch (c->body) {
    case BODY_DONE:
        break;
    case BODY_SIZED:
        result = make_room(c, &g, c->body_left);
        if (result == RA_OK) {
            g.length = (size_t)c->body_left;
            result = read_exactly(c, g.at, g.length);
        }
        break;
    case BODY_CHUNKED:
        result = read_chunks(c, &g);
        break;
    case BODY_UNTIL_CLOSE:
        result = read_until_close(c, &g);
        break;
    }
    result = body_read(c, result);
    if (result != RA_OK) {
        free(g.at);
        g.at = NULL;
        g.length = 0;
    }
    *body = g.at;
    *length = g.length;
    return result;
}
