/* Starts one runtime, hands it work over the Runtime API and measures from outside: time, and the memory of its whole
 * process tree. A program of its own, so that what is timed is the runtime and not an event loop. It checks nothing:
 * what is correct is the business of the strict server in build/lambda/.
 *
 *   harness EVENT-FILE [SURROUNDING...] STEP... -- PROGRAM ARGUMENT...
 *
 *   pin            this program and PROGRAM share one core
 *   evict PATH     files at or below PATH leave the page cache; counts what would not
 *   cgroup DIR     PROGRAM is in that control group
 *   root DIR WORK  PROGRAM sees DIR as / and starts in WORK
 *   show FROM TO   and FROM at TO in it
 *
 * and then
 *
 *   exit           nothing is served; the time until PROGRAM has ended, and its peak size
 *   pause MS       nothing is done for that long
 *   ready N        the time until N requests for work are waiting
 *   memory         resident, anonymous, proportional and peak size of PROGRAM and everything it has started
 *   trips N        N invocations, one after the other: event written to response complete, and to being asked again
 *   load K N       N invocations, K at a time: the time for all
 *   stream BYTES   one invocation whose response comes in pieces: the time from its first byte to its last
 *   end            PROGRAM is asked to end (SIGTERM) and waited for; whatever wraps it can then write down what it saw
 *
 * One line of JSON on standard output for each step, in their order; times are nanoseconds, sizes kB. `cpu` is what
 * PROGRAM itself has used of a processor meanwhile, all its threads, without processes that it has started: it tells two
 * runtimes apart also on a machine with other things to do. Status 1 and a
 * sentence on standard error when PROGRAM ends, or does nothing for a minute (in a control group, which may be
 * narrow: fifteen). PROGRAM's environment is ours and
 * AWS_LAMBDA_RUNTIME_API; its standard output goes nowhere, its standard error is ours. It is killed at the end.
 *
 * Invariants: a peer is idle, or waits for work (`waiting`), or has an event it has not answered (`busy`). `in` holds
 * the current request from its first byte, [0, filled).
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "surroundings.h"

#define PEERS_MAX 1024
#define PATIENCE_S 60
#define TREE_MAX 1024

typedef struct {
    int fd;
    char *in;
    size_t filled, capacity;
    size_t head; /* bytes of the request's head with its empty line; 0: not there yet */
    size_t whole; /* bytes of head and body, when `head` is known */
    bool waiting, busy;
    int64_t given; /* when the event was written */
} peer;

static peer peers[PEERS_MAX];
static struct pollfd watched[PEERS_MAX + 1]; /* [0] is the listener, [i + 1] peers[i] */
static int peers_count, waiting_count;
static pid_t child;
static int64_t started;
static const char *event;
static size_t event_length;
static uint64_t invocations;
static int64_t last_took;       /* of the response that came last: event to response */
static int64_t last_complete;   /* and when */
static uint64_t responses;
static int patience = PATIENCE_S;

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("harness: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    if (child > 0) {
        kill(-child, SIGKILL);
    }
    exit(1);
}

static void on_signal(int number)
{
    if (child > 0) {
        kill(-child, SIGKILL); /* its group: also what it has forked */
    }
    _exit(128 + number);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nanoseconds of processor time the program has used so far. */
static int64_t cpu(void)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(child, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static int listener;

static void start(char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    char address[32];
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &size) != 0) {
        fail("cannot listen: %s", strerror(errno));
    }
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(here.sin_port));
    setenv("AWS_LAMBDA_RUNTIME_API", address, 1);
    watched[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    started = now();
    child = fork();
    if (child < 0) {
        fail("cannot fork: %s", strerror(errno));
    }
    if (child == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int nowhere = open("/dev/null", O_RDWR);
        dup2(nowhere, 0);
        dup2(nowhere, 1);
        if (nowhere > 2) {
            close(nowhere);
        }
        enter_surroundings();
        execvp(argv[0], argv);
        fprintf(stderr, "harness: cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    setpgid(child, child); /* whichever of the two is first */
}

static void must_live(void)
{
    int status;
    if (waitpid(child, &status, WNOHANG) == child) {
        if (WIFSIGNALED(status)) {
            fail("the program was killed by signal %d", WTERMSIG(status));
        }
        fail("the program has ended with status %d", WEXITSTATUS(status));
    }
}

/* ---- the Runtime API ---------------------------------------------------------------------------------------- */

static void send_all(int fd, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    while (message.msg_iovlen > 0) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("cannot send: %s", strerror(errno));
        }
        while (message.msg_iovlen > 0 && (size_t)n >= message.msg_iov->iov_len) {
            n -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
            message.msg_iov->iov_len -= (size_t)n;
        }
    }
}

static void send_text(int fd, const char *text)
{
    struct iovec part = {.iov_base = (char *)text, .iov_len = strlen(text)};
    send_all(fd, &part, 1);
}

static void give(peer *p)
{
    char head[512];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    invocations++;
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\n"
                          "Content-Type: application/json\r\n"
                          "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-%012llu\r\n"
                          "Lambda-Runtime-Deadline-Ms: %lld\r\n"
                          "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n"
                          "Lambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0\r\n"
                          "Content-Length: %zu\r\n"
                          "\r\n",
                          (unsigned long long)invocations, (long long)t.tv_sec * 1000 + 60000, event_length);
    struct iovec parts[] = {{.iov_base = head, .iov_len = (size_t)length},
                            {.iov_base = (char *)event, .iov_len = event_length}};
    p->waiting = false;
    p->busy = true;
    waiting_count--;
    p->given = now();
    send_all(p->fd, parts, 2);
}

static void give_any(void)
{
    for (int i = 0; i < peers_count; i++) {
        if (peers[i].waiting) {
            give(&peers[i]);
            return;
        }
    }
    fail("nobody is waiting for work");
}

/* Finds where the request in `in` ends; with chunks, at their terminator (nobody here sends a trailer). */
static bool is_whole(peer *p)
{
    if (p->head == 0) {
        char *end = memmem(p->in, p->filled, "\r\n\r\n", 4);
        if (end == NULL) {
            return false;
        }
        p->head = (size_t)(end - p->in) + 4;
        p->whole = p->head;
        for (char *line = memmem(p->in, p->head, "\r\n", 2); line < end;) {
            line += 2;
            if (strncasecmp(line, "content-length:", 15) == 0) {
                p->whole = p->head + strtoull(line + 15, NULL, 10);
            } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
                p->whole = SIZE_MAX;
            } else if (strncasecmp(line, "expect:", 7) == 0) {
                send_text(p->fd, "HTTP/1.1 100 Continue\r\n\r\n");
            }
            line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        }
    }
    if (p->whole == SIZE_MAX) {
        return p->filled - p->head >= 5 && memcmp(p->in + p->filled - 5, "0\r\n\r\n", 5) == 0;
    }
    if (p->filled > p->whole) {
        fail("a request came before the last was answered");
    }
    return p->filled == p->whole;
}

static void understand(peer *p)
{
    if (!is_whole(p)) {
        return;
    }
    bool next = strncmp(p->in, "GET ", 4) == 0;
    bool wrong = !next && memmem(p->in, p->head, "/error ", 7) != NULL;
    if (wrong) {
        fail("the handler failed: %.*s", (int)(p->filled - p->head), p->in + p->head);
    }
    p->filled = p->head = 0;
    if (next) {
        p->waiting = true;
        waiting_count++;
        return;
    }
    if (p->busy) {
        p->busy = false;
        last_complete = now();
        last_took = last_complete - p->given;
        responses++;
    }
    send_text(p->fd, "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n");
}

static void take(peer *p)
{
    if (p->capacity - p->filled < 65536) {
        /* Long bodies come with their length: all of it at once, so that growing is not what is timed. */
        size_t wanted = p->head != 0 && p->whole != SIZE_MAX ? p->whole + 65536 : p->capacity * 2 + 131072;
        p->in = realloc(p->in, wanted);
        if (p->in == NULL) {
            fail("out of memory");
        }
        p->capacity = wanted;
    }
    ssize_t n = recv(p->fd, p->in + p->filled, p->capacity - p->filled, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) { /* AWS's client opens one connection for each kind of request, and may close them */
        if (p->busy && p->head != 0) {
            fail("the connection was closed in the middle of a response");
        }
        waiting_count -= p->waiting;
        close(p->fd);
        free(p->in);
        int gone = (int)(p - peers);
        peers_count--;
        peers[gone] = peers[peers_count];
        watched[gone + 1] = watched[peers_count + 1];
        return;
    }
    p->filled += (size_t)n;
    understand(p);
}

static void serve_once(void)
{
    static int64_t quiet_since;
    int ready = poll(watched, (nfds_t)peers_count + 1, 250);
    if (ready < 0 && errno != EINTR) {
        fail("cannot wait: %s", strerror(errno));
    }
    if (ready <= 0) {
        must_live();
        if (quiet_since == 0) {
            quiet_since = now();
        } else if (now() - quiet_since > (int64_t)patience * 1000000000) {
            fail("nothing has happened for %d seconds", patience);
        }
        return;
    }
    quiet_since = 0;
    for (int i = peers_count - 1; i >= 0; i--) {
        if (watched[i + 1].revents != 0) {
            take(&peers[i]);
        }
    }
    if (watched[0].revents != 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
        if (fd >= 0 && peers_count < PEERS_MAX) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            peers[peers_count] = (peer){.fd = fd};
            watched[peers_count + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
            peers_count++;
        } else if (fd >= 0) {
            fail("too many connections");
        }
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

typedef struct {
    long processes, resident, anonymous, proportional, peak;
} memory;

static long field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtol(at + strlen(name), NULL, 10);
}

static bool read_proc(pid_t pid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    to[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static pid_t parent_of(pid_t pid)
{
    char text[1024];
    if (!read_proc(pid, "stat", text, sizeof text)) {
        return 0;
    }
    const char *after = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    int parent = 0;
    return after != NULL && sscanf(after + 1, " %c %d", &state, &parent) == 2 ? parent : 0;
}

static void add_memory(memory *sum, pid_t pid)
{
    char text[8192];
    if (!read_proc(pid, "status", text, sizeof text) || strstr(text, "\nVmRSS:") == NULL) {
        return; /* it is just ending */
    }
    sum->processes++;
    sum->resident += field(text, "\nVmRSS:");
    sum->anonymous += field(text, "\nRssAnon:");
    sum->peak += field(text, "\nVmHWM:");
    if (read_proc(pid, "smaps_rollup", text, sizeof text)) {
        sum->proportional += field(text, "\nPss:");
    }
}

/* Everything below `child`, by the parents in /proc: groups and sessions can be left, parents cannot. */
static memory measure_tree(void)
{
    static pid_t all[65536], parents[65536], tree[TREE_MAX];
    int count = 0, members = 1;
    memory sum = {0};
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        fail("/proc is needed to measure memory");
    }
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && count < 65536;) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            all[count] = (pid_t)atoi(entry->d_name);
            parents[count] = parent_of(all[count]);
            count++;
        }
    }
    closedir(proc);
    tree[0] = child;
    for (int i = 0; i < members; i++) {
        add_memory(&sum, tree[i]);
        for (int j = 0; j < count && members < TREE_MAX; j++) {
            if (parents[j] == tree[i]) {
                tree[members++] = all[j];
            }
        }
    }
    return sum;
}

/* ---- steps -------------------------------------------------------------------------------------------------- */

static void step_exit(void)
{
    siginfo_t about;
    int status;
    waitid(P_PID, (id_t)child, &about, WEXITED | WNOWAIT); /* its clock can be read until it is reaped */
    int64_t ended = now(), used = cpu();
    struct rusage usage;
    wait4(child, &status, 0, &usage);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail("the program has ended with wait status %d", status);
    }
    child = 0;
    printf("{\"step\":\"exit\",\"ns\":%lld,\"cpu\":%lld,\"peak\":%ld}\n", (long long)(ended - started), (long long)used,
           usage.ru_maxrss);
}

static void step_ready(long count)
{
    while (waiting_count < count) {
        serve_once();
    }
    int64_t ended = now();
    printf("{\"step\":\"ready\",\"ns\":%lld,\"cpu\":%lld}\n", (long long)(ended - started), (long long)cpu());
}

static void step_pause(long milliseconds)
{
    struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
    puts("{\"step\":\"pause\"}");
}

static void step_memory(void)
{
    struct timespec pause = {.tv_nsec = 20000000}; /* the request is out; let the program reach its wait */
    nanosleep(&pause, NULL);
    memory m = measure_tree();
    printf("{\"step\":\"memory\",\"processes\":%ld,\"resident\":%ld,\"anonymous\":%ld,\"proportional\":%ld,\"peak\":%ld}\n",
           m.processes, m.resident, m.anonymous, m.proportional, m.peak);
}

static void step_trips(long count)
{
    int64_t *response = calloc((size_t)count, sizeof *response), *again = calloc((size_t)count, sizeof *again);
    while (waiting_count == 0) {
        serve_once();
    }
    int64_t used = cpu();
    for (long i = 0; i < count; i++) {
        uint64_t before = responses;
        int64_t begin = now();
        give_any();
        while (responses == before) {
            serve_once();
        }
        response[i] = last_took;
        while (waiting_count == 0) {
            serve_once();
        }
        again[i] = now() - begin;
    }
    printf("{\"step\":\"trips\",\"response\":[");
    for (long i = 0; i < count; i++) {
        printf(i == 0 ? "%lld" : ",%lld", (long long)response[i]);
    }
    printf("],\"again\":[");
    for (long i = 0; i < count; i++) {
        printf(i == 0 ? "%lld" : ",%lld", (long long)again[i]);
    }
    printf("],\"cpu\":%lld}\n", (long long)(cpu() - used));
    free(response);
    free(again);
}

static void step_load(long at_once, long count)
{
    while (waiting_count < at_once) {
        serve_once();
    }
    uint64_t first = responses;
    long given = 0;
    int64_t begin = now(), used = cpu();
    while (responses - first < (uint64_t)count) {
        while (given < count && given - (long)(responses - first) < at_once && waiting_count > 0) {
            give_any();
            given++;
        }
        serve_once();
    }
    printf("{\"step\":\"load\",\"ns\":%lld,\"cpu\":%lld}\n", (long long)(last_complete - begin), (long long)(cpu() - used));
}

/* Its whole group, because a wrapper may pass nothing on; who does not listen is killed after ten seconds. */
static void step_end(void)
{
    struct timespec pause = {.tv_nsec = 5000000};
    int status;
    kill(-child, SIGTERM);
    for (int tries = 0; waitpid(child, &status, WNOHANG) != child; tries++) {
        if (tries == 2000) {
            fail("the program does not end when it is asked to");
        }
        nanosleep(&pause, NULL);
    }
    kill(-child, SIGKILL); /* what is left of the group */
    child = 0;
    puts("{\"step\":\"end\"}");
}

/* Reads and throws away, with a blocking socket and nothing else in between. */
static void step_stream(uint64_t expected)
{
    static char window[1 << 18];
    char tail[5] = {0};
    uint64_t bytes = 0;
    int64_t begin = 0;
    while (waiting_count == 0) {
        serve_once();
    }
    peer *p = peers;
    while (!p->waiting) {
        p++;
    }
    give(p);
    for (;;) {
        ssize_t n = recv(p->fd, window, sizeof window, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            fail("the stream ended after %llu bytes", (unsigned long long)bytes);
        }
        if (begin == 0) {
            begin = now();
            if (memmem(window, (size_t)n, "/error ", 7) != NULL) {
                fail("the handler failed: %.*s", (int)n, window);
            }
        }
        bytes += (uint64_t)n;
        for (ssize_t i = n > 5 ? n - 5 : 0; i < n; i++) {
            memmove(tail, tail + 1, 4);
            tail[4] = window[i];
        }
        if (bytes >= expected && memcmp(tail, "0\r\n\r\n", 5) == 0) {
            break;
        }
    }
    int64_t took = now() - begin;
    p->busy = false;
    send_text(p->fd, "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n");
    printf("{\"step\":\"stream\",\"ns\":%lld,\"bytes\":%llu}\n", (long long)took, (unsigned long long)bytes);
}

static long number(char **words, int *at)
{
    char *end;
    const char *word = words[++*at];
    long value = word == NULL ? -1 : strtol(word, &end, 10);
    if (value < 0 || *end != '\0') {
        fail("a step wants a number, not %s", word == NULL ? "nothing" : word);
    }
    return value;
}

int main(int argc, char **argv)
{
    int split = 2;
    while (split < argc && strcmp(argv[split], "--") != 0) {
        split++;
    }
    if (split + 1 >= argc) {
        fail("usage: harness EVENT-FILE STEP... -- PROGRAM ARGUMENT...");
    }
    FILE *file = fopen(argv[1], "rb");
    struct stat about;
    if (file == NULL || fstat(fileno(file), &about) != 0) {
        fail("cannot read %s: %s", argv[1], strerror(errno));
    }
    char *text = malloc((size_t)about.st_size + 1);
    if (text == NULL || fread(text, 1, (size_t)about.st_size, file) != (size_t)about.st_size) {
        fail("cannot read %s", argv[1]);
    }
    fclose(file);
    event = text;
    event_length = (size_t)about.st_size;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    argv[split] = NULL;
    int first = 2;
    while (first < split && surround(argv, &first)) {
        patience = strcmp(argv[first - 1], "cgroup") == 0 ? 15 * PATIENCE_S : patience;
        first++;
    }
    surroundings_ready();
    start(argv + split + 1);
    for (int i = first; i < split; i++) {
        const char *step = argv[i];
        if (strcmp(step, "exit") == 0) {
            step_exit();
        } else if (strcmp(step, "ready") == 0) {
            step_ready(number(argv, &i));
        } else if (strcmp(step, "pause") == 0) {
            step_pause(number(argv, &i));
        } else if (strcmp(step, "memory") == 0) {
            step_memory();
        } else if (strcmp(step, "trips") == 0) {
            step_trips(number(argv, &i));
        } else if (strcmp(step, "load") == 0) {
            long at_once = number(argv, &i);
            step_load(at_once, number(argv, &i));
        } else if (strcmp(step, "stream") == 0) {
            step_stream((uint64_t)number(argv, &i));
        } else if (strcmp(step, "end") == 0) {
            step_end();
        } else {
            fail("there is no step called %s", step);
        }
    }
    if (child > 0) {
        kill(-child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 0;
}
