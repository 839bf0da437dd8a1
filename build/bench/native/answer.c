/* The floor: the least a runtime can do, in C. What the kernel, its loopback and the harness take is part of every
 * figure of every runtime; this program has nothing else.
 *
 *   answer                      posts every event back as it came
 *   answer BYTES                streams that many bytes in pieces of 64 KB, each one write, to every event
 *
 * Knows as much of HTTP as its own harness speaks. Ends with status 1 when anything is unexpected.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE 65536

static int fd;
static char *in;
static size_t filled, capacity;

static void send_all(const void *from, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, from, length, MSG_NOSIGNAL);
        if (n <= 0) {
            exit(1);
        }
        from = (const char *)from + n;
        length -= (size_t)n;
    }
}

/* One answer, from in[0] on; returns where its body starts. */
static size_t receive(size_t *length)
{
    size_t head = 0;
    *length = 0;
    for (filled = 0; head == 0 || filled < head + *length;) {
        if (capacity - filled < PIECE) {
            capacity = head == 0 ? capacity + 2 * PIECE : head + *length + 2 * PIECE;
            in = realloc(in, capacity);
            if (in == NULL) {
                exit(1);
            }
        }
        ssize_t n = recv(fd, in + filled, capacity - filled, 0);
        if (n <= 0) {
            exit(1);
        }
        filled += (size_t)n;
        char *end = head == 0 ? memmem(in, filled, "\r\n\r\n", 4) : NULL;
        if (end != NULL) {
            head = (size_t)(end - in) + 4;
            char *line = memmem(in, head, "\r\nContent-Length: ", 18);
            *length = line == NULL ? 0 : strtoull(line + 18, NULL, 10);
        }
    }
    return head;
}

int main(int argc, char **argv)
{
    const char *address = getenv("AWS_LAMBDA_RUNTIME_API"), *colon = address == NULL ? NULL : strchr(address, ':');
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (colon == NULL) {
        return 1;
    }
    unsigned long long stream = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    int one = 1;
    there.sin_port = htons((unsigned short)atoi(colon + 1));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&there, sizeof there) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        return 1;
    }
    for (;;) {
        static const char next[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\n\r\n";
        char head[512], id[64] = "";
        size_t length, body;
        send_all(next, sizeof next - 1);
        body = receive(&length);
        char *line = memmem(in, body, "Request-Id: ", 12);
        if (line == NULL || sscanf(line + 12, "%63[^\r]", id) != 1) {
            return 1;
        }
        if (stream > 0) {
            static char piece[PIECE];
            int size = snprintf(head, sizeof head,
                                "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: localhost\r\n"
                                "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n%llx\r\n",
                                id, stream);
            send_all(head, (size_t)size);
            for (unsigned long long left = stream; left > 0;) { /* one HTTP chunk: only its bytes are written */
                size_t now = left < PIECE ? (size_t)left : PIECE;
                send_all(piece, now);
                left -= now;
            }
            send_all("\r\n0\r\n\r\n", 7);
        } else {
            int size = snprintf(head, sizeof head,
                                "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: localhost\r\n"
                                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                                id, length);
            struct iovec parts[] = {{.iov_base = head, .iov_len = (size_t)size},
                                    {.iov_base = in + body, .iov_len = length}};
            struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
            ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
            if (sent < size) {
                return 1;
            }
            send_all(in + body + (sent - size), length - (size_t)(sent - size));
        }
        (void)receive(&length);
    }
}
