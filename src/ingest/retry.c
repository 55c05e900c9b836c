/*
 * retry.c
 *		feathub.retry_dead_letters: try them once more, as they were kept.
 *
 * It runs in the caller's session and transaction, with the rights of the
 * job's owner, whose rights the caller must have.  What applies now is taken
 * from the dead letters; the rest stays, with the new reason.  A letter that
 * is applied late arrives now: it is the last of its (key, event time).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/dead_letter.h"
#include "ingest/apply.h"

/* Letters tried in one go. */
#define RETRY_BATCH 1000

static int64 retry_some(FeathubPipeline *pipeline, List *letters, int64 *last_id);

PG_FUNCTION_INFO_V1(feathub_retry_dead_letters);

/*
 * feathub.retry_dead_letters(job text) returns bigint
 *		The number of dead letters that were applied.
 */
Datum
feathub_retry_dead_letters(PG_FUNCTION_ARGS)
{
	FeathubPipeline *pipeline;
	FeathubJob *job;
	FeathubRoleScope scope;
	int64		applied = 0;
	int64		last_id = 0;
	List	   *letters;
	MemoryContext context;
	MemoryContext old;

	FeathubExtensionRequire();
	/* the row's lock keeps a second retry out */
	job = FeathubJobLock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	FeathubJobCheckRunnable(job);

	FeathubRoleEnterJob(&scope, job->owner);
	pipeline = FeathubPipelineOpen(job);
	pipeline->stream.read_metadata_only = true;
	pipeline->rel->connector->open_stream(&pipeline->stream);
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub letters", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	while ((letters = FeathubDeadLettersLoad(job->job_id, last_id, RETRY_BATCH)) != NIL)
	{
		CHECK_FOR_INTERRUPTS();
		applied += retry_some(pipeline, letters, &last_id);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	FeathubPipelineClose(pipeline);
	FeathubRoleLeave(&scope);
	PG_RETURN_INT64(applied);
}

/* Try a list of letters; returns how many applied. */
static int64
retry_some(FeathubPipeline *pipeline, List *letters, int64 *last_id)
{
	int			n = list_length(letters);
	FeathubRecord *records = palloc0(sizeof(FeathubRecord) * n);
	const char **partitions = palloc(sizeof(char *) * n);
	Datum	   *headers = palloc(sizeof(Datum) * n);
	bool	   *headers_isnull = palloc(sizeof(bool) * n);
	char	  **fates = palloc0(sizeof(char *) * n);
	int		   *codes = palloc0(sizeof(int) * n);
	const char **sinks = palloc0(sizeof(char *) * n);
	int64		applied = 0;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, letters)
	{
		FeathubStoredLetter *letter = lfirst(lc);
		FeathubRecord *record = &records[i];

		record->sequence = letter->letter.sequence;
		record->key = letter->letter.key;
		record->key_len = letter->letter.key_len;
		record->value = letter->letter.value;
		record->value_len = letter->letter.value_len;
		record->timestamp = letter->letter.timestamp;
		partitions[i] = letter->letter.partition;
		headers[i] = letter->letter.headers;
		headers_isnull[i] = letter->letter.headers_isnull;
		*last_id = letter->dead_letter_id;
		i++;
	}
	FeathubApplyStored(pipeline, records, partitions, headers, headers_isnull, n, fates, codes,
					   sinks);
	i = 0;
	foreach(lc, letters)
	{
		FeathubStoredLetter *letter = lfirst(lc);

		if (fates[i] == NULL)
			applied++;
		FeathubDeadLetterDone(letter->dead_letter_id, fates[i] == NULL, codes[i], fates[i],
							  sinks[i]);
		i++;
	}
	return applied;
}
