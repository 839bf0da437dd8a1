/* sched_yield for an interpreter that is alone in its process.
 *
 * A free-threaded 3.13 that enters a critical section whose lock it holds already (one nested in another) first calls
 * sched_yield 40 times, in the hope that the holder, itself, lets go (Python/lock.c, MAX_SPIN_COUNT; 3.14 looks first).
 * That happens a dozen times in every start: 500 system calls, each of which offers the processor to whoever else wants
 * it. With one thread nobody who is waited for can run meanwhile, so there is nothing to yield to.
 * Refuses to know anything else of Python. Libraries of the function get this one too.
 */
#include <Python.h> /* pyconfig.h's Py_GIL_DISABLED; standard headers come after it */
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030e0000
#include <sched.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

int sched_yield(void)
{
    return __libc_single_threaded ? 0 : (int)syscall(SYS_sched_yield);
}
#else
typedef int nothing_to_do_here; /* ISO C wants a declaration */
#endif
