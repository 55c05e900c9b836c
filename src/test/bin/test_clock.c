/*
 * test_clock.c
 *		A clock that a test sets, for the processes that it is preloaded into.
 *
 *	FEATHUB_CLOCK=/path/to/file LD_PRELOAD=libtest_clock.so postgres ...
 *
 * The file holds one int64: the seconds by which the time of day is ahead.
 * Clocks that nobody can set (CLOCK_MONOTONIC) are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;
static int	(*real_clock) (clockid_t, struct timespec *);

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("FEATHUB_CLOCK");
	int			fd = path ? open(path, O_RDONLY) : -1;
	void	   *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

	real_clock = (int (*) (clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	if (map != MAP_FAILED)
		ahead = map;
	if (fd >= 0)
		close(fd);
}

int
clock_gettime(clockid_t id, struct timespec *at)
{
	int			status = real_clock(id, at);

	if (ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		at->tv_sec += *ahead;
	return status;
}

int
gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *at)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}
