/* A Runtime API that is quick enough for a million invocations: one thread, any number of connections, nothing kept.
 *
 *   api_server INVOCATIONS STEP EVENT...      events are taken in turn
 *
 * Prints its port, then a line "STEP-TH-COUNT" each time so many more invocations have been answered and waits for a line on
 * standard input before it hands out the next one: whoever measures the runtime does so while nothing is under way.
 * When all are answered it prints "done responses=N errors=N streams=N late=N" (late: streams that ended with an error in a
 * trailer) and leaves the polls waiting until standard input ends. An answer to an invocation that was not handed out, or a second one,
 * and anything that is not HTTP as the bootstrap writes it, ends it with status 1 and a reason.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 256, ROOM = 1 << 20 };

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("api_server: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

typedef struct {
    char *in; /* ROOM bytes, and a NUL behind what is in them */
    size_t length;
    bool polling;
} connection;

static connection connections[CONNECTIONS];
static struct pollfd watched[CONNECTIONS + 1]; /* the last one listens */
static long total, step, given, answered, responses, failures, streams, late;
static unsigned char *open_ids; /* one bit each: handed out and not answered */
static char **events;
static long event_count;

static void say(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return; /* it has gone: the poll loop finds out */
        }
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
}

static void hand_out(int at)
{
    char answer[1024];
    const char *event = events[given % event_count];
    int head = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-%012ld\r\n"
                        "Lambda-Runtime-Invocation-Id: i-%ld\r\n"
                        "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
                        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\n"
                        "Lambda-Runtime-Trace-Id: Root=1-5759e988-%024ld;Parent=53995c3f42cd8ad8;Sampled=1\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        given, given, given, strlen(event), event);
    if (head < 0 || (size_t)head >= sizeof answer) {
        die("the event is too long");
    }
    open_ids[given / 8] |= (unsigned char)(1 << given % 8);
    given++;
    connections[at].polling = false;
    say(watched[at].fd, answer, (size_t)head);
}

/* Hands out what may be handed out: nothing while the end of a step waits for the rest of its invocations. */
static void serve_polls(void)
{
    long limit = (answered / step + 1) * step;
    for (int i = 0; i < CONNECTIONS && given < total && given < limit; i++) {
        if (watched[i].fd >= 0 && connections[i].polling) {
            hand_out(i);
        }
    }
}

static void posted(const char *path, bool streamed, bool with_error)
{
    static const char before[] = "/2018-06-01/runtime/invocation/00000000-0000-4000-8000-";
    char *end = NULL;
    if (strncmp(path, before, sizeof before - 1) != 0) {
        die("unexpected: POST %.200s", path);
    }
    long id = strtol(path + sizeof before - 1, &end, 10);
    if (id < 0 || id >= given || (open_ids[id / 8] & 1 << id % 8) == 0) {
        die("nobody asked for an answer to %ld", id);
    }
    open_ids[id / 8] &= (unsigned char)~(1 << id % 8);
    if (strncmp(end, "/response ", 10) == 0) {
        responses++;
    } else if (strncmp(end, "/error ", 7) == 0) {
        failures++;
    } else {
        die("unexpected: POST %.200s", path);
    }
    streams += streamed;
    late += with_error;
    answered++;
}

/* Length of the request at the start of the buffer, or 0 while it is not complete. */
static size_t complete(connection *c, bool *streamed, bool *with_error)
{
    char *end = strstr(c->in, "\r\n\r\n");
    *streamed = *with_error = false;
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end + 4 - c->in);
    char *length = strcasestr(c->in, "\r\nContent-Length:");
    if (length != NULL && length < end) {
        size_t whole = head + strtoul(length + 17, NULL, 10);
        return whole <= c->length ? whole : 0;
    }
    char *chunked = strcasestr(c->in, "\r\nTransfer-Encoding: chunked");
    if (chunked == NULL || chunked > end) {
        return head;
    }
    *streamed = true;
    for (char *at = end + 4;;) {
        char *line = strstr(at, "\r\n"), *after = NULL;
        if (line == NULL) {
            return 0;
        }
        size_t size = strtoul(at, &after, 16);
        if (after != line) {
            die("a chunk has no size");
        }
        at = line + 2;
        if (size == 0) {
            char *last = strstr(line, "\r\n\r\n");
            *with_error = last != NULL && last != line;
            return last == NULL ? 0 : (size_t)(last + 4 - c->in);
        }
        if ((size_t)(c->in + c->length - at) < size + 2) {
            return 0;
        }
        if (memcmp(at + size, "\r\n", 2) != 0) {
            die("a chunk is longer or shorter than its size");
        }
        at += size + 2;
    }
}

static void received(int at)
{
    static const char accepted[] =
        "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
    connection *c = &connections[at];
    ssize_t n = recv(watched[at].fd, c->in + c->length, ROOM - c->length, 0);
    if (n <= 0) {
        close(watched[at].fd);
        watched[at].fd = -1;
        c->length = 0;
        c->polling = false;
        return;
    }
    c->length += (size_t)n;
    c->in[c->length] = '\0';
    bool streamed, with_error;
    size_t whole;
    while (c->length > 0 && (whole = complete(c, &streamed, &with_error)) > 0) {
        if (strncmp(c->in, "GET /2018-06-01/runtime/invocation/next ", 40) == 0) {
            c->polling = true;
        } else if (strncmp(c->in, "POST ", 5) == 0) {
            posted(c->in + 5, streamed, with_error);
            say(watched[at].fd, accepted, sizeof accepted - 1);
        } else {
            die("unexpected: %.100s", c->in);
        }
        memmove(c->in, c->in + whole, c->length - whole + 1);
        c->length -= whole;
    }
    if (c->length == ROOM) {
        die("a request is larger than %d bytes", ROOM);
    }
}

static void welcome(int listener)
{
    int fd = accept(listener, NULL, NULL), one = 1;
    if (fd < 0) {
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (watched[i].fd < 0) {
            if (connections[i].in == NULL && (connections[i].in = malloc(ROOM + 1)) == NULL) {
                die("out of memory");
            }
            watched[i].fd = fd;
            return;
        }
    }
    die("more than %d connections", CONNECTIONS);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (argc < 4 || (total = atol(argv[1])) < 1 || (step = atol(argv[2])) < 1) {
        die("usage: api_server INVOCATIONS STEP EVENT...");
    }
    events = argv + 3;
    event_count = argc - 3;
    open_ids = calloc(1, (size_t)total / 8 + 1);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (open_ids == NULL || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 128) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        die("cannot listen: %s", strerror(errno));
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        watched[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    }
    watched[CONNECTIONS] = (struct pollfd){.fd = listener, .events = POLLIN};
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    long said = 0;
    for (;;) {
        if (poll(watched, CONNECTIONS + 1, -1) < 0 && errno != EINTR) {
            die("poll: %s", strerror(errno));
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            if (watched[i].fd >= 0 && watched[i].revents != 0) {
                received(i);
            }
        }
        if (watched[CONNECTIONS].revents != 0) {
            welcome(listener);
        }
        if (answered == given && answered > said && (answered % step == 0 || answered == total)) {
            char line[64];
            said = answered;
            if (answered == total) {
                printf("done responses=%ld errors=%ld streams=%ld late=%ld\n", responses, failures, streams, late);
            } else {
                printf("%ld\n", answered);
            }
            fflush(stdout);
            if (fgets(line, sizeof line, stdin) == NULL) {
                return 0;
            }
        }
        serve_polls();
    }
}
