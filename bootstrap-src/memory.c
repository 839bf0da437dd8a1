/* Between two invocations with large events, pymalloc unmaps its arenas and malloc gives the top of its heap back, and the
 * kernel then hands out, clears and charges the same pages again: a fifth of the time that an event of 6 MB takes, and
 * nobody gains, because a function's memory is paid for whether it is used or not. The other way round after the start: what only that needed is let go.
 * Refuses to know what the memory is for.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

#ifndef Py_GIL_DISABLED /* there, mimalloc has its own ways */

#define KEPT_MAX 64 /* arenas, of 1 MB each (CPython 3.10 and later) */

/* Interpreters with a GIL of their own (PEP 684) come here at the same time, and a fork may leave the lock taken for ever:
   nobody waits for it, who does not get it does without. */
static struct {
    atomic_flag taken;
    size_t count, size; /* size of each: there is only one, arenas are all alike */
    void *at[KEPT_MAX];
} kept = {.taken = ATOMIC_FLAG_INIT};

static void *take_arena(void *Py_UNUSED(context), size_t size)
{
    void *arena = NULL;
    if (!atomic_flag_test_and_set(&kept.taken)) {
        if (kept.count > 0 && kept.size == size) {
            arena = kept.at[--kept.count];
        }
        atomic_flag_clear(&kept.taken);
    }
    if (arena == NULL) {
        arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    return arena == MAP_FAILED ? NULL : arena;
}

static void give_arena(void *Py_UNUSED(context), void *arena, size_t size)
{
    bool keep = false;
    if (!atomic_flag_test_and_set(&kept.taken)) {
        /* MADV_FREE: its pages are the kernel's when it needs them, and cost nothing when they are wanted again first. */
        keep = kept.count < KEPT_MAX && (kept.count == 0 || kept.size == size) && madvise(arena, size, MADV_FREE) == 0;
        if (keep) {
            kept.size = size;
            kept.at[kept.count++] = arena;
        }
        atomic_flag_clear(&kept.taken);
    }
    if (!keep) {
        munmap(arena, size);
    }
}

void memory_keep_arenas(void)
{
    PyObject_SetArenaAllocator(&(PyObjectArenaAllocator){NULL, take_arena, give_arena});
}

/* Twice an event is what malloc is asked for at once at most (the response's text, as it grows); freed together with the
   event's own text, a little more than three. Above malloc's own limit for the first, its rules stay. */
void memory_expect(size_t event)
{
    static atomic_size_t expected;
    const size_t most = (size_t)32 << 20; /* DEFAULT_MMAP_THRESHOLD_MAX of glibc, on 64-bit machines */
    if (event > atomic_load_explicit(&expected, memory_order_relaxed) && event <= most / 2) {
        atomic_store_explicit(&expected, event, memory_order_relaxed);
        mallopt(M_MMAP_THRESHOLD, (int)(2 * event));
        mallopt(M_TRIM_THRESHOLD, (int)(4 * event));
    }
}

#else

void memory_keep_arenas(void)
{
}

void memory_expect(size_t event)
{
    (void)event;
}

#endif

/* ---- after the start ---------------------------------------------------------------------------------------- */

static int forget_constant_parts(struct dl_phdr_info *object, size_t Py_UNUSED(size), void *Py_UNUSED(context))
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = object->dlpi_phdr + i;
        /* What cannot be written is the file's still: private pages that were written would be lost. */
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0) {
            uintptr_t from = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
            uintptr_t end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
            (void)madvise((void *)from, end - from, MADV_DONTNEED); /* refused: they stay */
        }
    }
    return 1; /* the first object is the executable: no other */
}

void memory_forget_start(void)
{
    static atomic_flag forgotten = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&forgotten)) {
        dl_iterate_phdr(forget_constant_parts, NULL);
    }
}
