/* libFuzzer target for runtime_api.c: a server that sends any bytes, in any portions, and an operating system that
 * fails in the ways it is allowed to.
 *
 * The client is compiled into this file with its system calls renamed, so nothing here opens a socket and one run takes
 * microseconds. What must hold is in check_* and compared_deliveries; everything else is AddressSanitizer's and UBSan's
 * business. Refuses to know Python.
 *
 * An input is eleven control bytes, then what the server sends. FF 00 in it closes the connection; the next byte
 * belongs to the next connection. All control bytes zero: everything arrives at once and nothing fails.
 *   0  four calls, two bits each: next, respond, fail, init_fail
 *   1  how each answer's body is read, two bits each: rest, sized if sized, not at all, sized in any case
 *   2  bytes per recv at most, 0 for all there are
 *   3  recv: lower three bits what goes wrong, upper five how many calls go well in between
 *   4  sendmsg: the same
 *   5  socket and connect: the same
 *   6  lower four bits: after how many interruptions the callback says stop (0: never); bit 4: a wake descriptor
 *   7  arguments: two bits request id, two bits invocation id, two bits cause or type, two bits body
 *   8  how each of the four calls is made, two bits each: 0 in one piece. A `next` in halves: 1 as it should be, 2 asked
 *      twice, 3 received only. Anything else as a stream: 1 waiting, 2 not waiting, 3 given up without its end
 *   9  a stream: two bits number of chunks, two bits size, two bits end (success, error, error with body, forgery), one bit
 *      an error posted before the first chunk, one bit whether a look at an idle connection sees what follows
 *  10  lower three bits the address, see addresses
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

static int os_socket(int family, int type, int protocol);
static int os_connect(int fd, const struct sockaddr *to, socklen_t length);
static int os_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
static int os_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
static int os_poll(struct pollfd *fds, nfds_t count, int timeout);
static ssize_t os_recv(int fd, void *to, size_t room, int flags);
static ssize_t os_sendmsg(int fd, const struct msghdr *message, int flags);
static ssize_t os_read(int fd, void *to, size_t room);
static int os_close(int fd);
static int os_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found);
static void os_freeaddrinfo(struct addrinfo *found);

#define socket os_socket
#define connect os_connect
#define setsockopt os_setsockopt
#define getsockopt os_getsockopt
#define poll os_poll
#define recv os_recv
#define sendmsg os_sendmsg
#define read os_read
#define close os_close
#define getaddrinfo os_getaddrinfo
#define freeaddrinfo os_freeaddrinfo
#include "../../runtime_api.c"
#undef socket
#undef connect
#undef setsockopt
#undef getsockopt
#undef poll
#undef recv
#undef sendmsg
#undef read
#undef close
#undef getaddrinfo
#undef freeaddrinfo

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { CONTROLS = 11, CALLS = 4, FD = 1000, WAKE_FD = 2000, FAULTS_MAX = 64 };

/* ---- the operating system and the server behind it ---------------------------------------------------------- */

static struct {
    uint8_t control[CONTROLS];
    const uint8_t *bytes; /* what the server has yet to send, over all connections */
    size_t left;
    bool open, ended;    /* a descriptor is in use; its server has closed */
    unsigned calls[3];   /* of recv, sendmsg, connect, since the last fault of each */
    unsigned faults;     /* bounded: a real system stops interrupting at some point */
    unsigned interrupts; /* seen by the callback */
    int connect_error;   /* what SO_ERROR says after an interrupted connect */
    bool woken;
    bool send_blocked, answer_first; /* what the next poll for writing reports */
    bool cut;
    uint8_t sent[1 << 13]; /* the current request, as far as it fits */
    size_t sent_length;
} os;

enum { RECV, SENDMSG, CONNECT };

#define TYPE_HEADER "Lambda-Runtime-Function-Error-Type"
#define BODY_HEADER "Lambda-Runtime-Function-Error-Body"

/* What goes wrong with this call: 0 for nothing. */
static unsigned fault(int call)
{
    uint8_t rule = os.control[3 + call];
    if ((rule & 7) == 0 || os.faults >= FAULTS_MAX || os.calls[call]++ < (unsigned)rule >> 3) {
        return 0;
    }
    os.calls[call] = 0;
    os.faults++;
    return rule & 7;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static const char *const addresses[] = {
    "127.0.0.1:9001", "[::1]:9001", "a.name:80", "no.such.name:80", "two.addresses:80", "", "[::1", "host:123456",
};

static int os_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    static struct sockaddr somewhere;
    static struct addrinfo second = {.ai_family = AF_INET, .ai_addr = &somewhere, .ai_addrlen = sizeof somewhere};
    static struct addrinfo first = {.ai_family = AF_INET, .ai_addr = &somewhere, .ai_addrlen = sizeof somewhere};
    REQUIRE(host[0] != '\0' && strchr(host, '[') == NULL && port[0] != '\0' && (hints->ai_flags & AI_NUMERICSERV) != 0);
    if ((hints->ai_flags & AI_NUMERICHOST) != 0 && (os.control[10] & 7) >= 2) {
        return EAI_NONAME;
    }
    if ((os.control[10] & 7) == 3) {
        return EAI_AGAIN;
    }
    first.ai_next = (os.control[10] & 7) == 4 ? &second : NULL;
    *found = &first;
    return 0;
}

static void os_freeaddrinfo(struct addrinfo *found)
{
    REQUIRE(found != NULL);
}

static int os_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    REQUIRE(!os.open); /* the client has one connection */
    os.open = true;
    os.sent_length = 0;
    os.ended = false;
    return FD;
}

static int os_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    REQUIRE(fd == FD && os.open && to != NULL && length > 0);
    os.connect_error = 0;
    switch (fault(CONNECT)) {
    case 1:
        return refuse(ECONNREFUSED);
    case 2:
        return refuse(EINTR);
    case 3:
        os.connect_error = ECONNREFUSED;
        return refuse(EINTR);
    case 4:
        return refuse(ENETUNREACH);
    case 5:
        os.connect_error = EINTR; /* not what Linux does, and still no reason to spin */
        return refuse(EINTR);
    default:
        return 0;
    }
}

static int os_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    (void)level, (void)name, (void)value, (void)length;
    REQUIRE(fd == FD && os.open);
    return 0;
}

static int os_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    REQUIRE(fd == FD && os.open && level == SOL_SOCKET && name == SO_ERROR && *length == sizeof(int));
    memcpy(value, &os.connect_error, sizeof os.connect_error);
    return 0;
}

static int os_close(int fd)
{
    REQUIRE(fd == FD && os.open);
    os.open = false;
    /* What the server still wanted to say on this connection is lost. */
    while (!os.ended && os.left > 0) {
        bool end = os.left >= 2 && os.bytes[0] == 0xff && os.bytes[1] == 0;
        os.bytes += end ? 2 : 1;
        os.left -= end ? 2 : 1;
        os.ended = end;
    }
    return 0;
}

static int os_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    REQUIRE(timeout == -1 && count >= 1 && count <= 2 && fds[0].fd == FD && os.open);
    fds[0].revents = 0;
    if (count == 1) {
        /* For a connection that is being made, or for room to send. */
        fds[0].revents = os.send_blocked && os.answer_first ? POLLIN : POLLOUT;
        os.send_blocked = false;
        return 1;
    }
    fds[1].revents = 0;
    switch (os.woken ? 0 : fault(RECV)) {
    case 1:
        return refuse(EINTR);
    case 2:
        fds[1].revents = fds[1].fd >= 0 ? POLLIN : 0;
        os.woken = fds[1].fd >= 0;
        break;
    case 3:
        return refuse(ENOMEM);
    case 4:
        fds[1].revents = fds[1].fd >= 0 ? POLLNVAL : 0;
        break;
    default:
        break;
    }
    if (fds[1].revents == 0) {
        fds[0].revents = POLLIN;
    }
    return 1;
}

/* Of the wake descriptor. The upper bits of the recv rule choose among its answers. */
static ssize_t os_read(int fd, void *to, size_t room)
{
    REQUIRE(fd == WAKE_FD && room >= 1);
    os.woken = false;
    switch (os.control[3] >> 6) {
    case 0:
        memset(to, 15, 1);
        return 1;
    case 1:
        return refuse(EAGAIN);
    case 2:
        return refuse(EBADF);
    default:
        return 0;
    }
}

/* A look at an idle connection: what the server will answer next is not there yet, unless the rule says that it speaks
   without being asked. */
static ssize_t looked(size_t room, int flags)
{
    REQUIRE(room == 1 && flags == (MSG_PEEK | MSG_DONTWAIT));
    switch (fault(RECV)) {
    case 1:
        return refuse(EINTR);
    case 2:
        return refuse(ECONNRESET);
    default:
        break;
    }
    if (os.ended || os.left == 0 || (os.left >= 2 && os.bytes[0] == 0xff && os.bytes[1] == 0)) {
        return 0;
    }
    return (os.control[9] & 128) != 0 ? 1 : refuse(EAGAIN);
}

static ssize_t os_recv(int fd, void *to, size_t room, int flags)
{
    REQUIRE(fd == FD && os.open && room > 0);
    if (flags != 0) {
        return looked(room, flags);
    }
    if ((os.control[6] & 16) == 0) {
        switch (fault(RECV)) {
        case 1:
            return refuse(EINTR);
        case 2:
            return refuse(ECONNRESET);
        case 3:
            return refuse(EIO);
        default:
            break;
        }
    }
    size_t most = os.control[2] == 0 || os.control[2] > room ? room : os.control[2];
    size_t n = 0;
    while (n < most && n < os.left && !os.ended) {
        if (os.left - n >= 2 && os.bytes[n] == 0xff && os.bytes[n + 1] == 0) {
            if (n == 0) {
                os.ended = true;
                os.bytes += 2;
                os.left -= 2;
            }
            break;
        }
        n++;
    }
    if (n > 0 && !os.ended) {
        memcpy(to, os.bytes, n);
        os.bytes += n;
        os.left -= n;
        return (ssize_t)n;
    }
    return 0;
}

static ssize_t os_sendmsg(int fd, const struct msghdr *message, int flags)
{
    REQUIRE(fd == FD && os.open && (flags & MSG_NOSIGNAL) != 0 && (flags & MSG_DONTWAIT) != 0);
    REQUIRE(message->msg_iovlen >= 1 && message->msg_iovlen <= 8);
    size_t most = SIZE_MAX;
    switch (fault(SENDMSG)) {
    case 1:
        most = 1 + (os.control[4] >> 3);
        break;
    case 2:
    case 3:
        os.send_blocked = true;
        os.answer_first = (os.control[4] & 7) == 3;
        return refuse(EAGAIN);
    case 4:
        return refuse(EPIPE);
    case 5:
        return refuse(EINTR);
    case 6:
        return refuse(ENOBUFS);
    case 7: /* part of a request, and then an answer to it */
        os.cut = !os.cut;
        if (os.cut) {
            most = 1;
            break;
        }
        os.send_blocked = os.answer_first = true;
        return refuse(EAGAIN);
    default:
        break;
    }
    size_t total = 0;
    for (size_t i = 0; i < message->msg_iovlen && total < most; i++) {
        const uint8_t *from = message->msg_iov[i].iov_base;
        size_t n = message->msg_iov[i].iov_len;
        n = n > most - total ? most - total : n;
        for (size_t at = 0; at < n && os.sent_length < sizeof os.sent; at++) {
            os.sent[os.sent_length++] = from[at];
        }
        total += n;
    }
    REQUIRE(total > 0); /* a send of nothing would be a loop that ends by luck */
    return (ssize_t)total;
}

static int on_interrupt(void *context)
{
    REQUIRE(context == &os);
    unsigned limit = os.control[6] & 15;
    return limit != 0 && ++os.interrupts >= limit;
}

/* ---- what must hold ----------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u; /* FNV-1a */
    }
    return hash;
}

static void check_client(const ra_client *c)
{
    REQUIRE(c->head_end <= c->pos && c->pos <= c->end && c->end <= c->capacity);
    REQUIRE((c->fd >= 0) == os.open);
}

static void check_detail(const ra_client *c, ra_result result)
{
    REQUIRE((int)result >= RA_OK && (int)result <= RA_AGAIN);
    REQUIRE((result == RA_BAD_ADDRESS) <= ((os.control[10] & 7) >= 5));
    REQUIRE((result == RA_RESOLVE) <= ((os.control[10] & 7) == 3));
    const char *detail = ra_detail(c, result);
    REQUIRE(detail != NULL && strlen(detail) > 0 && strchr(detail, '\n') == NULL);
}

/* A text lies in the head, is one line and is not blank at its ends. Returns what identifies it. */
static uint64_t check_text(const ra_client *c, ra_text text, uint64_t hash)
{
    REQUIRE((text.at == NULL) == (text.length == 0));
    if (text.at == NULL) {
        return mixed(hash, "-", 1);
    }
    REQUIRE(text.at >= c->in && text.at + text.length <= c->in + c->head_end);
    REQUIRE(memchr(text.at, '\r', text.length) == NULL && memchr(text.at, '\n', text.length) == NULL);
    REQUIRE(memchr(text.at, '\0', text.length) == NULL);
    REQUIRE(strchr(" \t", text.at[0]) == NULL && strchr(" \t", text.at[text.length - 1]) == NULL);
    return mixed(hash, text.at, text.length);
}

static uint64_t check_head(const ra_client *c, const ra_head *head)
{
    REQUIRE(head->status >= 200 && head->status <= 999);
    REQUIRE(head->length >= -1 && head->length <= (int64_t)RA_BODY_MAX);
    REQUIRE(ra_buffered(c) == c->end - c->pos);
    uint64_t hash = mixed(0xcbf29ce484222325u, &head->status, sizeof head->status);
    hash = mixed(hash, &head->length, sizeof head->length);
    const ra_text texts[] = {head->content_type, head->request_id,     head->invocation_id,
                             head->deadline_ms,  head->function_arn,   head->trace_id,
                             head->client_context, head->cognito_identity, head->tenant_id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash = check_text(c, texts[i], hash);
    }
    return hash;
}

/* The request is one request: its head ends once, and holds no line that the client did not mean to write. */
static void check_sent(int call)
{
    static const char *const starts[] = {"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: ",
                                         "POST /2018-06-01/runtime/invocation/", "POST /2018-06-01/runtime/invocation/",
                                         "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: "};
    static const char *const allowed[] = {"Host: ", "User-Agent: ", "Content-Type: ", "Content-Length: ",
                                          "Lambda-Runtime-", "Transfer-Encoding: ", "Trailer: "};
    size_t start = strlen(starts[call]);
    if (os.sent_length < sizeof os.sent && os.sent_length > start) {
        REQUIRE(memcmp(os.sent, starts[call], start) == 0);
        const uint8_t *at = memmem(os.sent, os.sent_length, "\r\n", 2), *end = os.sent + os.sent_length;
        const uint8_t *blank = memmem(os.sent, os.sent_length, "\r\n\r\n", 4);
        REQUIRE(blank != NULL);
        for (const uint8_t *line = os.sent; (line = memchr(line, '\n', (size_t)(blank - line))) != NULL; line++) {
            REQUIRE(line[-1] == '\r');
        }
        while (at != NULL && end - at >= 4 && memcmp(at, "\r\n\r\n", 4) != 0) {
            const uint8_t *line = at + 2;
            bool known = false;
            for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
                size_t n = strlen(allowed[i]), have = (size_t)(end - line);
                known = known || memcmp(line, allowed[i], n < have ? n : have) == 0;
            }
            REQUIRE(known);
            at = memmem(line, (size_t)(end - line), "\r\n", 2);
        }
    }
}

/* What a stream whose end was sent has put on the connection: its head, the chunks that were written, the last chunk and
   the trailers, and not a byte besides. */
static void check_streamed(size_t chunks, size_t size, const char *error_type, const char *error_body)
{
    const uint8_t *at = memmem(os.sent, os.sent_length, "\r\n\r\n", 4), *end = os.sent + os.sent_length;
    if (os.sent_length == sizeof os.sent) {
        return; /* not all of it was kept */
    }
    REQUIRE(at != NULL);
    at += 4;
    for (size_t i = 0; i < chunks && size > 0; i++) {
        char line[24];
        size_t digits = (size_t)snprintf(line, sizeof line, "%zx\r\n", size);
        REQUIRE((size_t)(end - at) >= digits + size + 2 && memcmp(at, line, digits) == 0);
        at += digits;
        for (size_t n = 0; n < size; n++) {
            REQUIRE(*at++ == 's');
        }
        REQUIRE(memcmp(at, "\r\n", 2) == 0);
        at += 2;
    }
    char last[256];
    int length = snprintf(last, sizeof last, "0\r\n%s%s%s%s%s%s\r\n", error_type != NULL ? TYPE_HEADER ": " : "",
                          error_type != NULL ? error_type : "", error_type != NULL ? "\r\n" : "",
                          error_body != NULL ? BODY_HEADER ": " : "", error_body != NULL ? error_body : "",
                          error_body != NULL ? "\r\n" : "");
    REQUIRE(end - at == length && memcmp(at, last, (size_t)length) == 0);
}

/* ---- one run ------------------------------------------------------------------------------------------------ */

static const char *request_id(void)
{
    static const char *const ids[] = {"8476a536-e9f4-11e8-9739-2dfe598c3fcd", "", "a/../b?c=\xc3\xa9 %",
                                      "two\r\nHost: elsewhere"};
    return ids[os.control[7] & 3];
}

static const char *value(int shift)
{
    static const char *const values[] = {NULL, "", "a value", "one\nX-Forged: yes"};
    return values[os.control[7] >> shift & 3];
}

/* Parts of the request that the client has begun. *started: nothing says any more that it is a stream. */
static ra_result streamed(ra_client *c, int how, ra_head *head, bool *started)
{
    static const size_t sizes[] = {1, 0, 700, 100000};
    static char chunk[100000];
    size_t chunks = os.control[9] & 3, size = sizes[os.control[9] >> 2 & 3];
    bool answered = false, wait = how != 2;
    if (chunk[0] == '\0') {
        memset(chunk, 's', sizeof chunk);
    }
    ra_result result = ra_stream_open(c, request_id(), value(2), "application/octet-stream");
    if (result != RA_OK) {
        REQUIRE(!ra_stream_started(c));
        return result;
    }
    REQUIRE(!ra_stream_started(c) && os.sent_length == 0);
    if ((os.control[9] & 64) != 0) {
        result = ra_fail(c, request_id(), value(2), value(4), "{}", 2, head);
        REQUIRE(!ra_stream_started(c) || result == RA_BAD_ARGUMENT);
        return result;
    }
    *started = true;
    for (size_t i = 0; i < chunks; i++) {
        int attempts = 0;
        while ((result = ra_stream_write(c, chunk, size, wait, &answered)) == RA_AGAIN) {
            REQUIRE(!wait && os.open && ra_stream_started(c));
            if (++attempts > FAULTS_MAX || how == 3) {
                break;
            }
        }
        check_client(c);
        check_detail(c, result);
        REQUIRE(size == 0 || ra_stream_started(c));
        if (result != RA_OK) {
            REQUIRE(!os.open || result == RA_AGAIN);
            break; /* not returned: what comes after a failure has to be sane too */
        }
    }
    if (how == 3) {
        return RA_AGAIN;
    }
    static const char *const types[] = {NULL, "Runtime.Late", "Runtime.Late", "one\r\nX-Forged: yes"};
    const char *type = types[os.control[9] >> 4 & 3], *body = (os.control[9] >> 4 & 3) == 2 ? "e30=" : NULL;
    bool whole = result == RA_OK && !answered;
    result = ra_stream_close(c, type, body, head);
    /* Not if the server talked before the end was sent: then the end may be missing, and the connection is not kept. */
    if (result == RA_OK && whole && !c->must_close) {
        check_streamed(chunks, size, type, body);
    }
    REQUIRE(result != RA_OK || !ra_stream_started(c));
    return result;
}

static ra_result next_in_halves(ra_client *c, int how, ra_head *head)
{
    ra_result result = RA_AGAIN;
    for (int attempts = 0; result == RA_AGAIN && attempts < 3; attempts++) {
        for (int sends = how == 3 ? 0 : how; sends > 0; sends--) {
            result = ra_next_send(c);
            if (result != RA_OK) {
                return result;
            }
            REQUIRE(ra_descriptor(c) == FD && os.open);
        }
        result = ra_next_receive(c, head);
        REQUIRE(result != RA_AGAIN || ra_descriptor(c) == -1);
        /* Half a request, and then another one on the same connection, would be one that nobody wrote. */
        REQUIRE(result != RA_OK || how == 3 || c->must_close || os.sent_length == sizeof os.sent ||
                (os.sent_length > 4 && memcmp(os.sent + os.sent_length - 4, "\r\n\r\n", 4) == 0));
    }
    return result;
}

static ra_result call(ra_client *c, int which, int how, ra_head *head, bool *started)
{
    static const char large[100000];
    static const size_t sizes[] = {0, 2, 500, sizeof large};
    size_t size = sizes[os.control[7] >> 6];
    if (how != 0) {
        return which == 0 ? next_in_halves(c, how, head) : streamed(c, how, head, started);
    }
    switch (which) {
    case 0:
        return ra_next(c, head);
    case 1:
    {
        struct iovec parts[] = {{(void *)(uintptr_t)large, size / 3}, {(void *)(uintptr_t)large, size - size / 3}};
        return ra_respond(c, request_id(), value(2), "application/json", parts, 2, head);
    }
    case 2:
        return ra_fail(c, request_id(), value(2), value(4), large, size, head);
    default:
        return ra_init_fail(c, value(4), large, size, head);
    }
}

static uint64_t read_body(ra_client *c, int how, const ra_head *head, uint64_t hash)
{
    char *body = NULL;
    size_t length = 0;
    ra_result result;
    if (how == 2) {
        return hash; /* the next call has to cope */
    }
    if (how == 3 || (how == 1 && head->length >= 0)) {
        /* Exactly as long as announced, so that one byte more is an error that AddressSanitizer sees. */
        length = head->length >= 0 ? (size_t)head->length : 0;
        body = malloc(length);
        REQUIRE(body != NULL || length == 0);
        result = ra_read_sized(c, body);
        REQUIRE(head->length < 0 || result != RA_BAD_ARGUMENT);
    } else {
        result = ra_read_rest(c, &body, &length);
        REQUIRE(result == RA_OK || (body == NULL && length == 0));
        REQUIRE(length <= RA_BODY_MAX && (head->length < 0 || result != RA_OK || length == (size_t)head->length));
    }
    check_detail(c, result);
    hash = mixed(hash, &result, sizeof result);
    if (result == RA_OK) {
        hash = mixed(hash, body, length);
    }
    free(body);
    return hash;
}

/* Plays the script. Returns what identifies the outcome of the first call. */
static uint64_t played(const uint8_t control[CONTROLS], const uint8_t *bytes, size_t length)
{
    memset(&os, 0, sizeof os);
    memcpy(os.control, control, CONTROLS);
    os.bytes = bytes;
    os.left = length;
    os.ended = true;
    ra_client *c = ra_open(addresses[control[10] & 7], "fuzz");
    REQUIRE(c != NULL);
    ra_on_interrupt(c, on_interrupt, &os);
    ra_wake_on(c, (control[6] & 16) != 0 ? WAKE_FD : -1);
    uint64_t first = 0;
    for (int i = 0; i < CALLS; i++) {
        int which = control[0] >> (2 * i) & 3, how = control[1] >> (2 * i) & 3, pieces = control[8] >> (2 * i) & 3;
        bool started = false;
        ra_head head;
        memset(&head, 0xa5, sizeof head); /* a field that is left unset must show */
        os.sent_length = 0;
        ra_result result = call(c, which, pieces, &head, &started);
        check_client(c);
        check_detail(c, result);
        if (os.faults == 0) {
            check_sent(which == 3 && pieces != 0 ? 1 : which);
        }
        uint64_t hash = mixed(0xcbf29ce484222325u, &result, sizeof result);
        if (result == RA_OK) {
            uint64_t before = check_head(c, &head);
            hash = read_body(c, how, &head, before);
            check_client(c);
            /* Reading a body must not move the texts. After a failure there is no connection, and no head. */
            REQUIRE(c->head_end == 0 || check_head(c, &head) == before);
        } else {
            REQUIRE(!os.open || result == RA_BAD_ARGUMENT || started);
        }
        if (i == 0) {
            first = hash;
        }
    }
    ra_close(c);
    REQUIRE(!os.open);
    return first;
}

/* On a fresh connection, where the network cuts must not matter. (Later answers may: bytes that nobody asked for close
   the connection if they are noticed in time.) */
static void compared_deliveries(const uint8_t control[CONTROLS], const uint8_t *bytes, size_t length)
{
    uint8_t calm[CONTROLS] = {[0] = control[0], [1] = control[1], [7] = control[7], [8] = control[8],
                              [9] = control[9], [10] = control[10]};
    uint64_t whole = played(calm, bytes, length);
    calm[2] = 1;
    REQUIRE(played(calm, bytes, length) == whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROLS) {
        return 0;
    }
    played(data, data + CONTROLS, size - CONTROLS);
    compared_deliveries(data, data + CONTROLS, size - CONTROLS);
    return 0;
}
