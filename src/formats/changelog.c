/*
 * changelog.c
 *		Changes of a database's rows as messages: dialects, whatever encoding
 *		they come in.
 *
 * The messages are described in Debezium's manual, "Data change events" of each
 * connector and "New Record State Extraction" (flat ones), and in Maxwell's,
 * "Data Format".
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/timestamp.h"

#include "formats/changelog.h"
#include "formats/format_private.h"

static const FeathubChangelogOperation debezium_operations[] = {
	{"c", FEATHUB_CHANGE_UPSERT},
	{"u", FEATHUB_CHANGE_UPSERT},
	{"r", FEATHUB_CHANGE_UPSERT},
	{"d", FEATHUB_CHANGE_DELETE},
	{"m", FEATHUB_CHANGE_NONE},
	{NULL, FEATHUB_CHANGE_NONE}
};

static const FeathubChangelogOperation maxwell_operations[] = {
	{"insert", FEATHUB_CHANGE_UPSERT},
	{"update", FEATHUB_CHANGE_UPSERT},
	{"bootstrap-insert", FEATHUB_CHANGE_UPSERT},
	{"delete", FEATHUB_CHANGE_DELETE},
	{"bootstrap-start", FEATHUB_CHANGE_NONE},
	{"bootstrap-complete", FEATHUB_CHANGE_NONE},
	{"database-create", FEATHUB_CHANGE_NONE},
	{"database-alter", FEATHUB_CHANGE_NONE},
	{"table-create", FEATHUB_CHANGE_NONE},
	{"table-alter", FEATHUB_CHANGE_NONE},
	{NULL, FEATHUB_CHANGE_NONE}
};

/* before and after; source.ts_ms is when the source's transaction committed */
const FeathubChangelogDialect FeathubChangelogDebezium = {
	.name = "Debezium",
	.fields = {
		"payload", "op", "after", "before", "source", "ts_ms",
		"__deleted", "__op", "__source_ts_ms"
	},
	.operations = debezium_operations,
	.refused = "t",
	.time_digits = 3
};

/* data is the row after the change, of a deletion before it */
const FeathubChangelogDialect FeathubChangelogMaxwell = {
	.name = "Maxwell",
	.fields = {NULL, "type", "data", "data", NULL, "ts"},
	.operations = maxwell_operations,
	.time_digits = 0
};

bool
FeathubChangelogFindOperation(const FeathubChangelogDialect *dialect, FeathubChangelogField field,
							  FeathubChangelogEquals equals, const void *text,
							  FeathubChange *change, FeathubDecodeError *error)
{
	for (const FeathubChangelogOperation *operation = dialect->operations; operation->name;
		 operation++)
	{
		if (equals(text, operation->name, strlen(operation->name)))
		{
			*change = operation->change;
			return true;
		}
	}
	if (dialect->refused && equals(text, dialect->refused, strlen(dialect->refused)))
		return FeathubDecodeFail(error, ERRCODE_FEATURE_NOT_SUPPORTED,
								 "truncation of a table in the source cannot be applied");
	return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
							 "unknown operation in field \"%s\" of a %s message",
							 dialect->fields[field], dialect->name);
}

bool
FeathubChangelogNoOperation(const FeathubChangelogDialect *dialect, FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
							 "field \"%s\" of a %s message is missing or no string",
							 dialect->fields[FEATHUB_CHANGELOG_OPERATION], dialect->name);
}

bool
FeathubChangelogNoImage(const FeathubChangelogDialect *dialect, FeathubChangelogField field,
						FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_NULL_VALUE_NOT_ALLOWED,
							 "field \"%s\" of a %s message is missing or no object",
							 dialect->fields[field], dialect->name);
}

TimestampTz
FeathubChangelogTime(int64 micros)
{
	TimestampTz result;

	if (pg_sub_s64_overflow(micros, (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
							&result) ||
		!IS_VALID_TIMESTAMP(result))
		return DT_NOBEGIN;
	return result;
}
