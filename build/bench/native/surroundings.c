/* What a program is started in. Everything that takes time is done before the fork, so that what is timed from there on
 * is the program: the child makes at most a write, chroot and chdir more.
 *
 * Invariants: the mounts are in a namespace of this process, so they go when it goes, however it ends. Nothing is
 * evicted that was not named.
 */
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *root, *work, *group;
static bool evicting;
static long files, denied;
static int64_t bytes, left;

/* On one core nobody waits for another to wake: on an idle virtual machine that alone takes longer than an invocation.
 * The last core there is, because most interrupts go to the first. The program inherits it. */
static void pin(void)
{
    cpu_set_t allowed, one;
    int last = -1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        fail("cannot ask for cores: %s", strerror(errno));
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        last = CPU_ISSET(i, &allowed) ? i : last;
    }
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) {
        fail("cannot stay on core %d: %s", last, strerror(errno));
    }
    printf("{\"step\":\"pin\",\"core\":%d}\n", last);
}

/* ---- page cache --------------------------------------------------------------------------------------------- */

/* What the kernel still holds of a file. Of files of others it does not say, and claims all (mincore(2)). */
static int64_t resident(int fd, int64_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = ((size_t)size + page - 1) / page;
    unsigned char *present = malloc(pages);
    void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    int64_t held = 0;
    if (present == NULL || map == MAP_FAILED || mincore(map, (size_t)size, present) != 0) {
        fail("cannot ask which pages of a file are in memory: %s", strerror(errno));
    }
    for (size_t i = 0; i < pages; i++) {
        held += present[i] & 1 ? (int64_t)page : 0;
    }
    munmap(map, (size_t)size);
    free(present);
    return held;
}

static int evict_file(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)at;
    if (kind != FTW_F || !S_ISREG(about->st_mode) || about->st_size == 0) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        denied++;
        return 0;
    }
    /* Pages that are mapped or dirty stay; the first are counted below, the second were written by syncfs. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    files++;
    bytes += about->st_size;
    left += resident(fd, about->st_size);
    close(fd);
    return 0;
}

static void evict(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("cannot read %s: %s", path, strerror(errno));
    }
    syncfs(fd);
    close(fd);
    if (nftw(path, evict_file, 64, FTW_PHYS) != 0) {
        fail("cannot read all of %s: %s", path, strerror(errno));
    }
    evicting = true;
}

/* ---- root folder -------------------------------------------------------------------------------------------- */

static void write_own(const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        fail("cannot write %s: %s", path, strerror(errno));
    }
    close(fd);
}

/* A namespace of our own for mounts; without root also one for users, in which we are root. */
static void leave_host(void)
{
    int uid = (int)geteuid(), gid = (int)getegid();
    char map[64];
    if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) {
        fail("cannot have a root folder of its own here: %s", strerror(errno));
    }
    if (uid != 0) {
        snprintf(map, sizeof map, "0 %d 1", uid);
        write_own("uid_map", map);
        write_own("setgroups", "deny");
        snprintf(map, sizeof map, "0 %d 1", gid);
        write_own("gid_map", map);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fail("cannot make mounts private: %s", strerror(errno));
    }
}

static void show(const char *from, const char *to)
{
    char path[4096];
    if (root == NULL || to[0] != '/' || (size_t)snprintf(path, sizeof path, "%s%s", root, to) >= sizeof path) {
        fail("nothing can be shown at %s", to);
    }
    if (mount(from, path, NULL, MS_BIND | MS_REC, NULL) != 0) {
        fail("cannot show %s at %s: %s", from, path, strerror(errno));
    }
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static const char *argument(char **words, int *at)
{
    const char *word = words[++*at];
    if (word == NULL) {
        fail("%s wants more", words[*at - 1]);
    }
    return word;
}

bool surround(char **words, int *at)
{
    const char *word = words[*at];
    if (strcmp(word, "pin") == 0) {
        pin();
    } else if (strcmp(word, "evict") == 0) {
        evict(argument(words, at));
    } else if (strcmp(word, "cgroup") == 0) {
        group = argument(words, at);
    } else if (strcmp(word, "root") == 0) {
        root = argument(words, at);
        work = argument(words, at);
        leave_host();
    } else if (strcmp(word, "show") == 0) {
        const char *from = argument(words, at);
        show(from, argument(words, at));
    } else {
        return false;
    }
    return true;
}

void surroundings_ready(void)
{
    if (evicting) {
        printf("{\"step\":\"evict\",\"files\":%ld,\"denied\":%ld,\"bytes\":%lld,\"left\":%lld}\n", files, denied,
               (long long)bytes, (long long)left);
    }
}

void enter_surroundings(void)
{
    if (group != NULL) {
        char path[4096];
        snprintf(path, sizeof path, "%s/cgroup.procs", group);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1) {
            fprintf(stderr, "harness: cannot enter %s: %s\n", group, strerror(errno));
            _exit(127);
        }
        close(fd);
    }
    if (root != NULL && (chroot(root) != 0 || chdir(work) != 0)) {
        fprintf(stderr, "harness: cannot enter %s in %s: %s\n", work, root, strerror(errno));
        _exit(127);
    }
}
