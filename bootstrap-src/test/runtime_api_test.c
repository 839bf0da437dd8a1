/* Unit tests of runtime_api.c against a hostile server in the same process.
 *
 * Each case is a script: what the server sends on each connection, how it cuts it, and what the client must make of
 * it. Built with -fsanitize=address,undefined; prints one line per failure and "N passed, N failed".
 */
#include "../runtime_api.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int passed, failures;
static const char *current = "";

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            passed++;                                                                                                  \
        } else {                                                                                                       \
            failures++;                                                                                                \
            printf("FAILED %s: line %d: %s\n", current, __LINE__, #condition);                                         \
        }                                                                                                              \
    } while (0)

#define PART(body, length) (&(struct iovec){(void *)(uintptr_t)(body), (length)}), 1

/* ---- the server --------------------------------------------------------------------------------------------- */

typedef struct {
    const char *bytes; /* what one request is answered with; NULL: nothing */
    size_t length;     /* 0: strlen(bytes) */
    size_t cut;        /* send this many bytes at a time; 0: all at once */
    bool close_after;
    bool ignore_body; /* answer when the head is in, without reading the body */
} answer;

typedef struct {
    int listener;
    pthread_t thread;
    const answer *answers;
    size_t count;
    int connections;
    char seen[4096]; /* heads and the first bytes of bodies, as received */
    size_t seen_length;
    size_t body_bytes;
    useconds_t delay;
} server;

static char address[64];

static void send_all(int fd, const char *bytes, size_t length, size_t cut)
{
    for (size_t at = 0; at < length;) {
        size_t n = cut == 0 || cut > length - at ? length - at : cut;
        ssize_t sent = send(fd, bytes + at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += (size_t)sent;
    }
}

/* Reads one request; false when the client closed. */
static bool read_request(server *s, int fd, bool ignore_body)
{
    static char head[8192];
    size_t length = 0;
    while (length < sizeof head - 1) {
        ssize_t n = recv(fd, head + length, 1, 0);
        if (n <= 0) {
            return false;
        }
        length++;
        if (length >= 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    head[length] = '\0';
    size_t keep = length < sizeof s->seen - s->seen_length - 1 ? length : 0;
    memcpy(s->seen + s->seen_length, head, keep);
    s->seen_length += keep;
    const char *announced = strstr(head, "Content-Length: ");
    size_t left = announced == NULL || ignore_body ? 0 : strtoul(announced + 16, NULL, 10);
    static char rest[65536];
    while (left > 0) {
        ssize_t n = recv(fd, rest, left < sizeof rest ? left : sizeof rest, 0);
        if (n <= 0) {
            return false;
        }
        size_t text = (size_t)n < 200 && s->seen_length + (size_t)n < sizeof s->seen ? (size_t)n : 0;
        memcpy(s->seen + s->seen_length, rest, text);
        s->seen_length += text;
        s->body_bytes += (size_t)n;
        left -= (size_t)n;
    }
    return true;
}

static void *serve(void *context)
{
    server *s = context;
    int fd = -1;
    for (size_t i = 0; i < s->count;) {
        if (fd < 0) {
            fd = accept(s->listener, NULL, NULL);
            if (fd < 0) {
                break; /* the test is over: see stop_server */
            }
            int one = 1;
            setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
            s->connections++;
        }
        const answer *a = &s->answers[i];
        if (!read_request(s, fd, a->ignore_body)) {
            close(fd);
            fd = -1;
            continue;
        }
        if (s->delay > 0) {
            usleep(s->delay);
        }
        if (a->bytes != NULL) {
            send_all(fd, a->bytes, a->length != 0 ? a->length : strlen(a->bytes), a->cut);
        }
        i++;
        if (a->close_after) {
            if (a->ignore_body) {
                usleep(20000); /* the last words must arrive before the reset that unread data causes */
            }
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) {
        static char byte;
        while (recv(fd, &byte, 1, 0) > 0) {
        }
        close(fd);
    }
    return NULL;
}

static void start_server(server *s, const answer *answers, size_t count)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    memset(s, 0, sizeof *s);
    s->answers = answers;
    s->count = count;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(s->listener, 16) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&here, &size) != 0) {
        perror("server");
        exit(2);
    }
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(here.sin_port));
    pthread_create(&s->thread, NULL, serve, s);
}

static void stop_server(server *s, ra_client *client)
{
    ra_close(client);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

/* ---- one answer, every way to cut it ------------------------------------------------------------------------ */

typedef struct {
    const char *name, *bytes;
    size_t length;
    bool close_after;
    ra_result expected;
    int status;
    const char *body; /* NULL: not looked at */
} one_answer;

#define OK "HTTP/1.1 200 OK\r\n"
#define ANSWER(text) text, sizeof(text) - 1

static const one_answer singles[] = {
    {"sized", ANSWER(OK "Content-Length: 5\r\n\r\nhello"), false, RA_OK, 200, "hello"},
    {"empty", ANSWER(OK "Content-Length: 0\r\n\r\n"), false, RA_OK, 200, ""},
    {"any case", ANSWER("HTTP/1.1 202 Accepted\r\ncOnTeNt-LeNgTh:\t5  \r\n\r\nhello"), false, RA_OK, 202, "hello"},
    {"no reason", ANSWER("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"), false, RA_OK, 200, "x"},
    {"same length twice", ANSWER(OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), false, RA_OK, 200, "x"},
    {"no content", ANSWER("HTTP/1.1 204 No Content\r\n\r\n"), false, RA_OK, 204, ""},
    {"1xx first", ANSWER("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 1\r\n\r\nx"),
     false, RA_OK, 200, "x"},
    {"chunked", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"), false, RA_OK,
     200, "abc0123456789"},
    {"chunked, trailers", ANSWER(OK "transfer-encoding: Chunked\r\n\r\n1 \r\nx\r\n000\r\nA: b\r\nC: d\r\n\r\n"), false, RA_OK,
     200, "x"},
    {"chunked wins over length", ANSWER(OK "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), false,
     RA_OK, 200, "x"},
    {"until close", ANSWER(OK "\r\nall of it"), true, RA_OK, 200, "all of it"},
    {"HTTP/1.0", ANSWER("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), true, RA_OK, 200, "ok"},

    {"nothing", ANSWER(""), true, RA_CLOSED, 0, NULL},
    {"close in status", ANSWER("HTTP/1.1 20"), true, RA_CLOSED, 0, NULL},
    {"close in headers", ANSWER(OK "Content-Le"), true, RA_CLOSED, 0, NULL},
    {"close in body", ANSWER(OK "Content-Length: 10\r\n\r\nhello"), true, RA_CLOSED, 200, NULL},
    {"close in chunk size", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n1"), true, RA_CLOSED, 200, NULL},
    {"close in chunk", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nab"), true, RA_CLOSED, 200, NULL},
    {"close before last chunk", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), true, RA_CLOSED, 200, NULL},
    {"close in trailers", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"), true, RA_CLOSED, 200, NULL},

    {"garbage", ANSWER("\x16\x03\x01\x02garbage\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"HTTP/2", ANSWER("HTTP/2 200\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"HTTP/1.2", ANSWER("HTTP/1.2 200 OK\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"no status", ANSWER("HTTP/1.1 OK\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"long status", ANSWER("HTTP/1.1 2000 OK\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"status 099", ANSWER("HTTP/1.1 099 OK\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"switching", ANSWER("HTTP/1.1 101 Switching\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"no colon", ANSWER(OK "nonsense\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"no name", ANSWER(OK ": x\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"space before colon", ANSWER(OK "Content-Length : 1\r\n\r\nx"), true, RA_MALFORMED, 0, NULL},
    {"folded header", ANSWER(OK "A: b\r\n c\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"NUL in header", ANSWER(OK "A: b\0c\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"bare LF in header", ANSWER(OK "A: b\nContent-Length: 3\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"negative length", ANSWER(OK "Content-Length: -1\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"signed length", ANSWER(OK "Content-Length: +1\r\n\r\nx"), true, RA_MALFORMED, 0, NULL},
    {"empty length", ANSWER(OK "Content-Length: \r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"hex length", ANSWER(OK "Content-Length: 0x1\r\n\r\nx"), true, RA_MALFORMED, 0, NULL},
    {"two lengths", ANSWER(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), true, RA_MALFORMED, 0, NULL},
    {"length overflow", ANSWER(OK "Content-Length: 18446744073709551617\r\n\r\n"), true, RA_TOO_LARGE, 0, NULL},
    {"length nonsense", ANSWER(OK "Content-Length: 9223372036854775807\r\n\r\n"), true, RA_TOO_LARGE, 0, NULL},
    {"gzip", ANSWER(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), true, RA_MALFORMED, 0, NULL},
    {"chunked twice", ANSWER(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), true, RA_MALFORMED,
     0, NULL},
    {"chunk without size", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n\r\nx"), true, RA_MALFORMED, 200, NULL},
    {"chunk size nonsense", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), true, RA_MALFORMED, 200, NULL},
    {"chunk size overflow", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"), true, RA_TOO_LARGE, 200, NULL},
    {"chunk too large", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n"), true, RA_TOO_LARGE, 200, NULL},
    {"chunk longer than size", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n"), true, RA_MALFORMED, 200, NULL},
    {"chunk line with LF", ANSWER(OK "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n"), true, RA_MALFORMED, 200, NULL},
};

static ra_result whole(ra_client *client, ra_head *head, char **body, size_t *length)
{
    *body = NULL;
    *length = 0;
    ra_result result = ra_next(client, head);
    return result == RA_OK ? ra_read_rest(client, body, length) : result;
}

static void test_single_answers(void)
{
    static const size_t cuts[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        for (size_t j = 0; j < sizeof cuts / sizeof *cuts; j++) {
            const one_answer *one = &singles[i];
            answer script[] = {{one->bytes, one->length, cuts[j], one->close_after, false}};
            server s;
            ra_head head = {0};
            char *body;
            size_t length;
            current = one->name;
            if (one->length == 0) {
                script[0].bytes = NULL;
            }
            start_server(&s, script, 1);
            ra_client *client = ra_open(address, "test");
            ra_result result = whole(client, &head, &body, &length);
            CHECK(result == one->expected);
            if (one->status != 0) {
                CHECK(head.status == one->status);
            }
            if (one->body != NULL) {
                CHECK(length == strlen(one->body) && (length == 0 || memcmp(body, one->body, length) == 0));
            }
            if (result != RA_OK) {
                CHECK(ra_detail(client, result)[0] != '\0');
            }
            free(body);
            stop_server(&s, client);
            CHECK(s.connections == 1);
        }
    }
}

/* ---- more than one answer ----------------------------------------------------------------------------------- */

#define SMALL OK "Content-Length: 1\r\n\r\nx"

static bool is(ra_text text, const char *expected)
{
    return expected == NULL ? text.at == NULL
                            : text.at != NULL && text.length == strlen(expected) &&
                                  memcmp(text.at, expected, text.length) == 0;
}

static void test_headers_of_next(void)
{
    static const answer script[] = {{OK "content-type: application/json\r\n"
                                        "lambda-runtime-aws-request-id: r-1\r\n"
                                        "LAMBDA-RUNTIME-INVOCATION-ID: i-1\r\n"
                                        "Lambda-Runtime-Deadline-Ms: 123\r\n"
                                        "Lambda-Runtime-Invoked-Function-Arn: arn:x\r\n"
                                        "Lambda-Runtime-Trace-Id: Root=1;Sampled=1\r\n"
                                        "Lambda-Runtime-Client-Context: {\"a\": \"\xc3\xa9\"}\r\n"
                                        "Lambda-Runtime-Cognito-Identity: \r\n"
                                        "Unknown: whatever\r\n"
                                        "Content-Length: 2\r\n\r\n{}",
                                     0, 1, false, false}};
    server s;
    ra_head head;
    char body[2];
    current = "headers of next";
    start_server(&s, script, 1);
    ra_client *client = ra_open(address, "agent/1");
    CHECK(ra_next(client, &head) == RA_OK);
    CHECK(head.length == 2);
    CHECK(ra_read_sized(client, body) == RA_OK && memcmp(body, "{}", 2) == 0);
    CHECK(is(head.content_type, "application/json"));
    CHECK(is(head.request_id, "r-1"));
    CHECK(is(head.invocation_id, "i-1"));
    CHECK(is(head.deadline_ms, "123"));
    CHECK(is(head.function_arn, "arn:x"));
    CHECK(is(head.trace_id, "Root=1;Sampled=1"));
    CHECK(is(head.client_context, "{\"a\": \"\xc3\xa9\"}"));
    CHECK(is(head.cognito_identity, NULL)); /* empty is absent */
    CHECK(is(head.tenant_id, NULL));
    stop_server(&s, client);
    char expected[256];
    snprintf(expected, sizeof expected,
             "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\nUser-Agent: agent/1\r\n\r\n", address);
    CHECK(strcmp(s.seen, expected) == 0);
}

static void test_posts(void)
{
    static const answer script[] = {{SMALL, 0, 0, false, false}, {SMALL, 0, 0, false, false}, {SMALL, 0, 0, false, false}};
    server s;
    ra_head head;
    char byte;
    current = "posts";
    start_server(&s, script, 3);
    ra_client *client = ra_open(address, "a");
    struct iovec body[RA_PARTS_MAX + 1] = {{"bo", 2}, {"", 0}, {"dy", 2}};
    CHECK(ra_respond(client, "id/ 1", "inv", "text/x", body, 3, &head) == RA_OK && ra_read_sized(client, &byte) == RA_OK);
    CHECK(ra_respond(client, "id", NULL, "t", body, RA_PARTS_MAX + 1, &head) == RA_BAD_ARGUMENT);
    CHECK(ra_fail(client, "id", NULL, "{}", "E", 1, &head) == RA_OK && ra_read_sized(client, &byte) == RA_OK);
    CHECK(ra_init_fail(client, "Runtime.X", "", 0, &head) == RA_OK && ra_read_sized(client, &byte) == RA_OK);
    CHECK(ra_respond(client, "id", "a\r\nForged: 1", "t", PART("", 0), &head) == RA_BAD_ARGUMENT);
    CHECK(ra_fail(client, "id", NULL, "{\n}", "", 0, &head) == RA_BAD_ARGUMENT);
    stop_server(&s, client);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "POST /2018-06-01/runtime/invocation/id%%2F%%201/response HTTP/1.1\r\nHost: %s\r\nUser-Agent: a\r\n"
             "Lambda-Runtime-Invocation-Id: inv\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nbody"
             "POST /2018-06-01/runtime/invocation/id/error HTTP/1.1\r\nHost: %s\r\nUser-Agent: a\r\n"
             "Lambda-Runtime-Function-XRay-Error-Cause: {}\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\nE"
             "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: %s\r\nUser-Agent: a\r\n"
             "Lambda-Runtime-Function-Error-Type: Runtime.X\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
             address, address, address);
    CHECK(strcmp(s.seen, expected) == 0);
    CHECK(s.connections == 1); /* kept alive */
}

/* What happens to the second of two calls, by what the server did after the first. */
static void test_second_call(const char *name, const answer *script, size_t count, ra_result expected, int connections)
{
    server s;
    ra_head head;
    char *body;
    size_t length;
    current = name;
    start_server(&s, script, count);
    ra_client *client = ra_open(address, "test");
    CHECK(whole(client, &head, &body, &length) == RA_OK);
    free(body);
    usleep(10000); /* let the close arrive: only then is the connection known to be dead */
    CHECK(whole(client, &head, &body, &length) == expected);
    free(body);
    stop_server(&s, client);
    CHECK(s.connections == connections);
}

static void test_reconnecting(void)
{
    const answer kept[] = {{SMALL, 0, 0, false, false}, {SMALL, 0, 0, false, false}};
    test_second_call("kept alive", kept, 2, RA_OK, 1);
    const answer dropped[] = {{SMALL, 0, 0, true, false}, {SMALL, 0, 0, false, false}};
    test_second_call("dropped while idle", dropped, 2, RA_OK, 2);
    const answer dropped_on_request[] = {{SMALL, 0, 0, false, false}, {NULL, 0, 0, true, false}, {SMALL, 0, 0, false, false}};
    test_second_call("dropped at the next request", dropped_on_request, 3, RA_OK, 2);
    const answer twice[] = {{SMALL, 0, 0, false, false}, {NULL, 0, 0, true, false}, {NULL, 0, 0, true, false}};
    test_second_call("dropped twice", twice, 3, RA_CLOSED, 2);
    const answer begun[] = {{SMALL, 0, 0, false, false}, {"H", 0, 0, true, false}};
    test_second_call("dropped after the first byte", begun, 2, RA_CLOSED, 1);
    const answer asked[] = {{OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", 0, 0, false, false},
                            {SMALL, 0, 0, false, false}};
    test_second_call("asked to close", asked, 2, RA_OK, 2);
    const answer old[] = {{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 0, 0, false, false}, {SMALL, 0, 0, false, false}};
    test_second_call("HTTP/1.0 closes", old, 2, RA_OK, 2);
    const answer extra[] = {{SMALL "HTTP/1.1 200 Smuggled\r\n\r\n", 0, 0, false, false}, {SMALL, 0, 0, false, false}};
    test_second_call("bytes after the answer", extra, 2, RA_OK, 2);
}

static void test_unread_body_is_dropped(void)
{
    static const answer script[] = {{SMALL, 0, 0, false, false}, {OK "Content-Length: 2\r\n\r\nok", 0, 0, false, false}};
    server s;
    ra_head head;
    char body[2];
    current = "unread body";
    start_server(&s, script, 2);
    ra_client *client = ra_open(address, "test");
    CHECK(ra_next(client, &head) == RA_OK); /* and its body is left alone */
    CHECK(ra_next(client, &head) == RA_OK && head.length == 2);
    CHECK(ra_read_sized(client, body) == RA_OK && memcmp(body, "ok", 2) == 0);
    stop_server(&s, client);
    CHECK(s.connections == 2);
}

/* ---- sizes -------------------------------------------------------------------------------------------------- */

static void test_sizes(void)
{
    const size_t length = 6291556;
    char *big = malloc(length + 200);
    int head_length = snprintf(big, 200, OK "Content-Length: %zu\r\n\r\n", length);
    for (size_t i = 0; i < length; i++) {
        big[(size_t)head_length + i] = (char)('a' + i % 23);
    }
    answer script[] = {{big, (size_t)head_length + length, 0, false, false}, {SMALL, 0, 0, false, false}};
    server s;
    ra_head head;
    char *body = malloc(length), byte;
    current = "6 MiB both ways";
    start_server(&s, script, 2);
    ra_client *client = ra_open(address, "test");
    CHECK(ra_next(client, &head) == RA_OK && head.length == (int64_t)length);
    CHECK(ra_read_sized(client, body) == RA_OK && memcmp(body, big + head_length, length) == 0);
    CHECK(ra_respond(client, "r", NULL, "t", PART(body, length), &head) == RA_OK && ra_read_sized(client, &byte) == RA_OK);
    stop_server(&s, client);
    CHECK(s.body_bytes == length);

    current = "early 413";
    answer early[] = {{"HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx", 0, 0, true, true}, {SMALL, 0, 0, false, false}};
    start_server(&s, early, 2);
    client = ra_open(address, "test");
    CHECK(ra_respond(client, "r", NULL, "t", PART(body, length), &head) == RA_OK && head.status == 413);
    CHECK(ra_read_sized(client, &byte) == RA_OK);
    CHECK(ra_next(client, &head) == RA_OK && head.status == 200); /* on a new connection */
    stop_server(&s, client);
    CHECK(s.connections == 2);
    free(body);
    free(big);

    static const struct {
        size_t size;
        ra_result expected;
    } heads[] = {{900 << 10, RA_OK}, {2 << 20, RA_TOO_LARGE}};
    for (size_t i = 0; i < 2; i++) {
        char *text = malloc(heads[i].size + 200);
        size_t at = (size_t)sprintf(text, OK "Lambda-Runtime-Client-Context: ");
        memset(text + at, 'c', heads[i].size);
        at += heads[i].size;
        at += (size_t)sprintf(text + at, "\r\nContent-Length: 1\r\n\r\nx");
        answer huge[] = {{text, at, 0, true, false}};
        current = "huge header";
        start_server(&s, huge, 1);
        client = ra_open(address, "test");
        CHECK(ra_next(client, &head) == heads[i].expected);
        if (heads[i].expected == RA_OK) {
            CHECK(head.client_context.length == heads[i].size);
            CHECK(ra_read_sized(client, &byte) == RA_OK && byte == 'x');
        }
        stop_server(&s, client);
        free(text);
    }
}

/* ---- signals ------------------------------------------------------------------------------------------------ */

static int interrupts, stop_at;

static int on_interrupt(void *context)
{
    (void)context;
    return ++interrupts == stop_at;
}

static void on_signal(int number)
{
    (void)number;
}

static void *pester(void *target)
{
    for (int i = 0; i < 5; i++) {
        usleep(20000);
        pthread_kill(*(pthread_t *)target, SIGUSR1);
    }
    return NULL;
}

static void test_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART, as CPython installs its own */
    sigaction(SIGUSR1, &action, NULL);
    static const answer script[] = {{SMALL, 0, 0, false, false}};
    for (stop_at = 0; stop_at <= 2; stop_at += 2) {
        server s;
        ra_head head;
        pthread_t self = pthread_self(), thread;
        current = stop_at == 0 ? "interrupted, goes on" : "interrupted, stops";
        interrupts = 0;
        start_server(&s, script, 1);
        s.delay = 150000;
        ra_client *client = ra_open(address, "test");
        ra_on_interrupt(client, on_interrupt, NULL);
        pthread_create(&thread, NULL, pester, &self);
        CHECK(ra_next(client, &head) == (stop_at == 0 ? RA_OK : RA_INTERRUPTED));
        CHECK(interrupts >= 2);
        pthread_join(thread, NULL);
        stop_server(&s, client);
    }
}

/* A signal that came before the wait began, seen through the wake descriptor. */
static void test_wake_descriptor(void)
{
    static const answer script[] = {{SMALL, 0, 0, false, false}};
    int wake[2];
    server s;
    ra_head head;
    for (stop_at = 0; stop_at <= 1; stop_at++) {
        current = stop_at == 0 ? "woken, goes on" : "woken, stops";
        interrupts = 0;
        CHECK(pipe2(wake, O_NONBLOCK) == 0 && write(wake[1], "ss", 2) == 2);
        start_server(&s, script, 1);
        s.delay = 30000;
        ra_client *client = ra_open(address, "test");
        ra_on_interrupt(client, on_interrupt, NULL);
        ra_wake_on(client, wake[0]);
        CHECK(ra_next(client, &head) == (stop_at == 0 ? RA_OK : RA_INTERRUPTED));
        CHECK(interrupts == 1);
        ra_wake_on(client, -1);
        stop_server(&s, client);
        close(wake[0]);
        close(wake[1]);
    }
    current = "wake descriptor closed";
    start_server(&s, script, 1);
    ra_client *client = ra_open(address, "test");
    ra_wake_on(client, 999); /* a number that nothing in this process has */
    CHECK(ra_next(client, &head) == RA_OK);
    stop_server(&s, client);
}

/* ---- addresses ---------------------------------------------------------------------------------------------- */

static void test_addresses(void)
{
    static const char *const bad[] = {"", "localhost", "127.0.0.1:", ":9001", "127.0.0.1:http", "127.0.0.1:123456",
                                      "http://127.0.0.1:9001", "[::1:9001", "127.0.0.1:9001/x", "a b:80"};
    ra_head head;
    current = "bad address";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ra_client *client = ra_open(bad[i], "test");
        CHECK(ra_next(client, &head) == RA_BAD_ADDRESS);
        ra_close(client);
    }
    current = "forging address";
    ra_client *client = ra_open("a\r\nb:80", "test");
    CHECK(ra_next(client, &head) == RA_BAD_ARGUMENT); /* it would be the Host header */
    ra_close(client);
    current = "nobody listens";
    client = ra_open("127.0.0.1:1", "test");
    CHECK(ra_next(client, &head) == RA_CONNECT);
    CHECK(strstr(ra_detail(client, RA_CONNECT), "127.0.0.1:1") != NULL);
    ra_close(client);

    static const answer script[] = {{SMALL, 0, 0, false, false}};
    server s;
    char named[80];
    current = "by name";
    start_server(&s, script, 1);
    snprintf(named, sizeof named, "localhost%s", strchr(address, ':'));
    client = ra_open(named, "test");
    CHECK(ra_next(client, &head) == RA_OK);
    stop_server(&s, client);
    ra_close(NULL);
}

/* ---- noise -------------------------------------------------------------------------------------------------- */

/* Valid answers with bytes changed, cut or repeated, from a fixed seed: anything may come of it but a crash, a hang
   or a read outside the buffers (which the sanitizers would report). */
static void test_noise(void)
{
    static const char *const seeds[] = {
        OK "Content-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: r\r\nContent-Length: 11\r\n\r\n{\"a\": \"b\"}\n",
        OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\nT: t\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 No\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno",
    };
    uint32_t random = 20240229;
    current = "noise";
    for (int round = 0; round < 600; round++) {
        char text[512];
        size_t length = strlen(seeds[round % 3]);
        memcpy(text, seeds[round % 3], length);
        for (int changes = 0; changes < 1 + round % 5; changes++) {
            random = random * 1664525u + 1013904223u;
            size_t at = (random >> 8) % length;
            switch ((random >> 28) % 4) {
            case 0:
                text[at] = (char)(random >> 16);
                break;
            case 1:
                length = at + 1;
                break;
            case 2:
                text[at] = "\r\n:;0fF "[(random >> 20) % 8];
                break;
            default:
                if (length < sizeof text - 8) {
                    memmove(text + at + 4, text + at, length - at);
                    length += 4;
                }
            }
        }
        answer script[] = {{text, length, round % 2 == 0 ? 0 : 3, true, false}};
        server s;
        ra_head head;
        char *body;
        size_t body_length;
        start_server(&s, script, 1);
        ra_client *client = ra_open(address, "test");
        ra_result result = whole(client, &head, &body, &body_length);
        CHECK(result == RA_OK || ra_detail(client, result)[0] != '\0');
        free(body);
        stop_server(&s, client);
    }
}

/* ---- streams ------------------------------------------------------------------------------------------------ */

/* Reads one chunked request to its end (or `limit` bytes of it), then answers. */
static void *serve_stream(void *context)
{
    server *s = context;
    for (size_t i = 0; i < s->count; i++) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0) {
            break;
        }
        s->connections++;
        s->seen_length = 0;
        for (;;) {
            ssize_t n = recv(fd, s->seen + s->seen_length, sizeof s->seen - 1 - s->seen_length, 0);
            if (n <= 0) {
                break;
            }
            s->seen_length += (size_t)n;
            s->seen[s->seen_length] = '\0';
            bool over = strstr(s->seen, "\r\n0\r\n") != NULL && memcmp(s->seen + s->seen_length - 4, "\r\n\r\n", 4) == 0;
            if (over || s->answers[i].ignore_body) {
                send_all(fd, s->answers[i].bytes, strlen(s->answers[i].bytes), s->answers[i].cut);
                break;
            }
        }
        if (s->answers[i].ignore_body) {
            usleep(20000);
        }
        close(fd);
    }
    return NULL;
}

static void start_stream_server(server *s, const answer *answers, size_t count)
{
    start_server(s, NULL, 0); /* its thread ends at once: there is nothing to answer */
    pthread_join(s->thread, NULL);
    s->answers = answers;
    s->count = count;
    pthread_create(&s->thread, NULL, serve_stream, s);
}

#define ACCEPTED "HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\nx"
#define TOO_LARGE "HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx"

static void test_streams(void)
{
    static const answer script[] = {{ACCEPTED, 0, 1, true, false}, {TOO_LARGE, 0, 0, true, true}};
    server s;
    ra_head head;
    char body;
    bool answered = true;
    current = "stream";
    start_stream_server(&s, script, 2);
    ra_client *client = ra_open(address, "test");
    CHECK(ra_stream_write(client, "x", 1, true, &answered) == RA_BAD_ARGUMENT);
    CHECK(ra_stream_close(client, NULL, NULL, &head) == RA_IO);
    CHECK(ra_stream_open(client, "r\r\n", NULL, "a\nb") == RA_BAD_ARGUMENT);
    CHECK(ra_stream_open(client, "r", "i", "text/plain") == RA_OK);
    CHECK(!ra_stream_started(client));
    CHECK(ra_stream_write(client, "", 0, true, &answered) == RA_OK && !answered);
    CHECK(!ra_stream_started(client));
    CHECK(ra_stream_write(client, "0123456789abcdef", 16, true, &answered) == RA_OK && !answered);
    CHECK(ra_stream_started(client));
    CHECK(ra_stream_write(client, "", 0, true, &answered) == RA_OK && !answered);
    CHECK(ra_stream_write(client, "z", 1, false, &answered) == RA_OK && !answered);
    CHECK(ra_stream_close(client, "T.Type", "e30=", &head) == RA_OK);
    CHECK(head.status == 202 && ra_read_sized(client, &body) == RA_OK && body == 'x');
    CHECK(!ra_stream_started(client));
    CHECK(strstr(s.seen, "Transfer-Encoding: chunked\r\n") != NULL);
    CHECK(strstr(s.seen, "\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nz\r\n0\r\n"
                         "Lambda-Runtime-Function-Error-Type: T.Type\r\n"
                         "Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n") != NULL);

    /* The server has closed that connection: the next stream notices before it sends. Then the server answers early,
       and the rest is thrown away. */
    current = "stream, early answer";
    CHECK(ra_stream_open(client, "r", NULL, "text/plain") == RA_OK);
    static char big[1 << 20];
    answered = false;
    for (int i = 0; i < 100 && !answered; i++) {
        CHECK(ra_stream_write(client, big, sizeof big, true, &answered) == RA_OK);
    }
    CHECK(answered);
    CHECK(ra_stream_write(client, big, sizeof big, true, &answered) == RA_OK && answered);
    ra_result result = ra_stream_close(client, NULL, NULL, &head);
    CHECK(result == RA_CLOSED || (result == RA_OK && head.status == 413));
    stop_server(&s, client);
    CHECK(s.connections == 2);
}

/* A reader that does not read: without `wait` the writer gets RA_AGAIN, and the chunk can only be gone on with. */
static void test_stream_that_would_block(void)
{
    static char big[8 << 20];
    server s;
    ra_head head;
    bool answered;
    current = "stream that would block";
    start_server(&s, NULL, 0);
    ra_client *client = ra_open(address, "test");
    CHECK(ra_stream_open(client, "r", NULL, "text/plain") == RA_OK);
    ra_result result = RA_OK;
    for (int i = 0; i < 100 && result == RA_OK; i++) {
        result = ra_stream_write(client, big, sizeof big, false, &answered);
    }
    CHECK(result == RA_AGAIN && !answered);
    CHECK(ra_stream_write(client, big, 5, false, &answered) == RA_BAD_ARGUMENT);
    CHECK(ra_stream_write(client, big, sizeof big, false, &answered) == RA_AGAIN);
    CHECK(ra_stream_close(client, NULL, NULL, &head) == RA_IO);
    CHECK(ra_stream_open(client, "r", NULL, "text/plain") == RA_OK); /* and a new connection after it */
    stop_server(&s, client);
}

static void test_next_in_two_halves(void)
{
    static const answer script[] = {{SMALL, 0, 1, true, false}, {SMALL, 0, 0, false, false}};
    server s;
    ra_head head;
    char body;
    current = "next in two halves";
    start_server(&s, script, 2);
    ra_client *client = ra_open(address, "test");
    CHECK(ra_descriptor(client) == -1);
    CHECK(ra_next_receive(client, &head) == RA_AGAIN);
    CHECK(ra_next_send(client) == RA_OK && ra_descriptor(client) >= 0);
    CHECK(ra_next_receive(client, &head) == RA_OK && head.status == 200);
    CHECK(ra_read_sized(client, &body) == RA_OK && body == 'x');
    usleep(20000); /* the connection is being closed */
    CHECK(ra_next_send(client) == RA_OK);
    CHECK(ra_next_receive(client, &head) == RA_AGAIN);
    CHECK(ra_next_send(client) == RA_OK);
    CHECK(ra_next_receive(client, &head) == RA_OK);
    CHECK(ra_read_sized(client, &body) == RA_OK && body == 'x');
    stop_server(&s, client);
    CHECK(s.connections == 2);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(100); /* a hang is a failure, not a wait */
    test_single_answers();
    test_headers_of_next();
    test_posts();
    test_reconnecting();
    test_unread_body_is_dropped();
    test_sizes();
    test_signals();
    test_wake_descriptor();
    test_addresses();
    test_noise();
    test_streams();
    test_stream_that_would_block();
    test_next_in_two_halves();
    printf("%d passed, %d failed\n", passed, failures);
    return failures == 0 ? 0 : 1;
}
