/* How fast a streamed response comes, against a plain C program that writes the same over a loopback socket.
 *
 * stream_rate plain             forks a writer of 200 MB in 64 KB pieces and reads them
 * stream_rate BOOTSTRAP         runs a bootstrap (its environment is ours) as a minimal Runtime API, and reads its response
 * Prints: megabytes, seconds, and the child's largest resident size in kB.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536
#define PIECES 3200

static char buffer[1 << 18];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_all(int fd, const char *from, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, from, length);
        if (n <= 0) {
            _exit(3);
        }
        from += n;
        length -= (size_t)n;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 2 || bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &size) != 0) {
        return 2;
    }
    int plain = strcmp(argv[1], "plain") == 0;
    pid_t child = fork();
    if (child == 0 && plain) {
        static char piece[PIECE];
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int one = 1;
        /* As ours has it: otherwise Nagle holds back the 53 bytes by which 64 KB are more than a loopback segment. */
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
            connect(fd, (struct sockaddr *)&here, sizeof here) != 0) {
            _exit(3);
        }
        for (int i = 0; i < PIECES; i++) {
            write_all(fd, piece, PIECE);
        }
        write_all(fd, "\r\n0\r\n\r\n", 7);
        pause();
    }
    if (child == 0) {
        char address[64];
        snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(here.sin_port));
        setenv("AWS_LAMBDA_RUNTIME_API", address, 1);
        execl(argv[1], argv[1], (char *)NULL);
        _exit(3);
    }
    int fd = accept(listener, NULL, NULL);
    if (!plain) {
        static const char event[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    "Lambda-Runtime-Aws-Request-Id: r\r\nContent-Length: 2\r\n\r\n{}";
        if (recv(fd, buffer, sizeof buffer, 0) <= 0) {
            return 3;
        }
        write_all(fd, event, sizeof event - 1);
    }
    double begin = 0, bytes = 0;
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) {
            return 4;
        }
        begin = begin == 0 ? now() : begin; /* from the first byte on */
        bytes += (double)n;
        if (n >= 5 && memcmp(buffer + n - 5, "0\r\n\r\n", 5) == 0 && bytes > PIECE) {
            break;
        }
    }
    double seconds = now() - begin;
    struct rusage usage;
    kill(child, SIGKILL);
    wait4(child, NULL, 0, &usage);
    printf("%.1f %.4f %ld\n", bytes / 1e6, seconds, usage.ru_maxrss);
    return 0;
}
