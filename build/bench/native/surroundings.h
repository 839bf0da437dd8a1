/* What a program is started in: a core, a share of the processor, a root folder, a page cache without its files.
 * Words of the harness's command line that come before its steps. Knows nothing of runtimes. */
#pragma once
#include <stdbool.h>

/* Ends the program with a sentence on standard error; the harness's. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Obeys words[*at] when it is one of these, and moves *at to the last word it has used. False: it is none of them. */
bool surround(char **words, int *at);

/* To be called once, before the fork, when all words were read: prints the line of `evict`. */
void surroundings_ready(void);

/* To be called in the child, before exec. */
void enter_surroundings(void);
