/*
 * sanitize_first.c
 *		Starts the address sanitizer before any other library's constructor.
 *
 * Preloaded into a server that is not sanitized itself, and linked with
 * -z initfirst.  Without it the server hangs at start: the constructor of
 * libgpg-error calls bindtextdomain(), whose malloc() starts the sanitizer,
 * whose dlerror() wants glibc's message lock, which bindtextdomain() holds.
 */
#include <stdlib.h>

__attribute__((constructor)) static void
start_sanitizer(void)
{
	free(malloc(1));
}
