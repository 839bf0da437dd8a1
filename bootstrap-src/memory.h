/* Memory that one invocation gives back and the next asks for again, and memory that only the start has use for. */
#ifndef MAKE_RUNTIME_MEMORY_H
#define MAKE_RUNTIME_MEMORY_H

#include <stddef.h>

/* From now on, pymalloc's arenas that become free are kept, for the kernel to take when it is short of memory. Before
   Python is initialised; does nothing where Python has another allocator (free-threaded builds). */
void memory_keep_arenas(void);

/* An event of so many bytes has come: malloc keeps room for a few of its kind. */
void memory_expect(size_t event);

/* The first invocation is about to be waited for: unmaps the executable's code and constants. Most of them were needed to
   start and never will be again, and the others come back from the page cache as they are used. */
void memory_forget_start(void);

#endif
