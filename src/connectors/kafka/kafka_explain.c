/*
 * kafka_explain.c
 *		What EXPLAIN shows of Kafka scans and inserts.
 */
#include "postgres.h"

#include "nodes/value.h"

#include "connectors/kafka/kafka_scan.h"
#include "core/compat.h"

/* Ranges shown; the rest is counted. */
#define MAX_RANGES_SHOWN	32

static void explain_ranges(KafkaScanState *state, ExplainState *es);

/*
 * FeathubConnector.explain_scan: what is asked for, and with ANALYZE what was
 * read.  Of a parallel scan only the leader's share is known here.
 */
void
FeathubKafkaExplainScan(FeathubScan *scan, ExplainState *es)
{
	KafkaOptions *options = scan->rel->options;
	KafkaScanState *state = scan->state;
	char	   *description = strVal(list_nth(scan->private, KAFKA_SCAN_DESCRIPTION));

	ExplainPropertyText("Topic", options->topic, es);
	if (scan->rel->format != NULL)
		ExplainPropertyText("Format", scan->rel->format->name, es);
	if (description[0] != '\0')
		ExplainPropertyText("Restrictions", description, es);
	if (options->isolation_level == KAFKA_READ_UNCOMMITTED && es->verbose)
		ExplainPropertyText("Isolation", "read_uncommitted", es);

	if (!es->analyze || state == NULL || state->never_rescanned)
		return;
	if (state->partitions != NULL)
		ExplainPropertyInteger("Partitions", NULL, state->npartitions, es);
	/* what one process of several has taken last says little */
	if (state->shared == NULL)
		explain_ranges(state, es);
	ExplainPropertyInteger(state->shared == NULL ? "Messages Read" : "Messages Read by Leader",
						   NULL,
						   state->messages_read +
						   (state->reader != NULL ? FeathubKafkaReaderCount(state->reader) : 0),
						   es);
}

/* FeathubConnector.explain_modify */
void
FeathubKafkaExplainModify(FeathubModify *modify, ExplainState *es)
{
	KafkaOptions *options = modify->rel->options;

	ExplainPropertyText("Topic", options->topic, es);
	if (modify->rel->format != NULL)
		ExplainPropertyText("Format", modify->rel->format->name, es);
	if (options->transactional)
		ExplainPropertyBool("Transactional", true, es);
}

/* Offsets read by the last rescan: partition: first-last, ... */
static void
explain_ranges(KafkaScanState *state, ExplainState *es)
{
	StringInfoData buf;
	List	   *shown = NIL;
	int			total = 0;

	for (int i = 0; i < state->nparts; i++)
	{
		KafkaReaderPart *part = &state->parts[i];

		for (int j = 0; j < part->nranges; j++)
		{
			if (++total > MAX_RANGES_SHOWN)
				continue;
			initStringInfo(&buf);
			appendStringInfo(&buf, "%s[%d] %lld..%lld", part->partition->topic,
							 part->partition->partition,
							 (long long) part->ranges[j].start,
							 (long long) part->ranges[j].end - 1);
			shown = lappend(shown, buf.data);
		}
	}
	if (total > MAX_RANGES_SHOWN)
		shown = lappend(shown, psprintf("and %d more", total - MAX_RANGES_SHOWN));
	if (shown == NIL)
		shown = list_make1("none");
	ExplainPropertyList("Offsets", shown, es);
}
