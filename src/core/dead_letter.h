/*
 * dead_letter.h
 *		Dead letters that are tried again.
 */
#ifndef FEATHUB_CORE_DEAD_LETTER_H
#define FEATHUB_CORE_DEAD_LETTER_H

#include "core/position.h"

/* A dead letter as it was stored. */
typedef struct FeathubStoredLetter
{
	int64		dead_letter_id;
	FeathubDeadLetter letter;
} FeathubStoredLetter;

/*
 * The next letters of a job with an id above after, in the order in which they
 * were kept; at most max.  palloc'd (FeathubStoredLetter *).
 */
extern List *FeathubDeadLettersLoad(int64 job_id, int64 after, int max);

/*
 * FeathubDeadLetterDone
 *		Remove a letter that was applied, or note why it was not; sink is the one
 *		that refused it, or NULL.
 */
extern void FeathubDeadLetterDone(int64 dead_letter_id, bool applied, int sqlerrcode,
								  const char *message, const char *sink);

#endif							/* FEATHUB_CORE_DEAD_LETTER_H */
