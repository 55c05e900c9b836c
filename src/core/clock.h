/*
 * clock.h
 *		A clock that nobody sets, for deadlines, waits and what is due.
 *
 * The time of day may be set back, and who waits until then would wait for
 * that long.  What is stored or shown is GetCurrentTimestamp() nevertheless.
 */
#ifndef FEATHUB_CORE_CLOCK_H
#define FEATHUB_CORE_CLOCK_H

#include <time.h>

#include "datatype/timestamp.h"

/*
 * FeathubClock
 *		Microseconds since some moment, the same for all processes.
 *
 * The type lets it go into TimestampDifferenceMilliseconds and its fellows, with
 * other values of this clock.  0 is long ago.
 */
static inline TimestampTz
FeathubClock(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (TimestampTz) now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000 + USECS_PER_DAY * 365;
}

#endif							/* FEATHUB_CORE_CLOCK_H */
