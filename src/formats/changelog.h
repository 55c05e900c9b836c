/*
 * changelog.h
 *		Changes of a database's rows as messages: what the encodings share.
 *
 * A message is an envelope (which operation, when) around images of the row,
 * or flat: the row itself, with fields beside it that tell what happened.
 */
#ifndef FEATHUB_FORMATS_CHANGELOG_H
#define FEATHUB_FORMATS_CHANGELOG_H

#include "formats/format.h"

/* The fields that tell what happened, of all dialects. */
typedef enum FeathubChangelogField
{
	FEATHUB_CHANGELOG_PAYLOAD,	/* the envelope, of a message with its schema */
	FEATHUB_CHANGELOG_OPERATION,
	FEATHUB_CHANGELOG_NEW,
	FEATHUB_CHANGELOG_OLD,
	FEATHUB_CHANGELOG_SOURCE,	/* has a time too */
	FEATHUB_CHANGELOG_TIME,

	/* of flat messages */
	FEATHUB_CHANGELOG_FLAT_DELETED,
	FEATHUB_CHANGELOG_FLAT_OPERATION,
	FEATHUB_CHANGELOG_FLAT_TIME,
	FEATHUB_CHANGELOG_FIELDS
} FeathubChangelogField;

typedef struct FeathubChangelogOperation
{
	const char *name;			/* NULL ends the list */
	FeathubChange change;
} FeathubChangelogOperation;

typedef struct FeathubChangelogDialect
{
	const char *name;			/* for messages */
	const char *fields[FEATHUB_CHANGELOG_FIELDS];	/* NULL: the dialect has none */
	const FeathubChangelogOperation *operations;
	const char *refused;		/* an operation that is an error, or NULL */
	int			time_digits;	/* the time's unit is 10^-n seconds */
} FeathubChangelogDialect;

extern const FeathubChangelogDialect FeathubChangelogDebezium;
extern const FeathubChangelogDialect FeathubChangelogMaxwell;

/* Is a text, in whatever form the encoding has it, this one? */
typedef bool (*FeathubChangelogEquals) (const void *text, const char *s, Size len);

/*
 * FeathubChangelogFindOperation
 *		What an operation does to a row; field is where it stands, for messages.
 *
 * Returns false with *error filled for one that is unknown or refused.
 */
extern bool FeathubChangelogFindOperation(const FeathubChangelogDialect *dialect,
										  FeathubChangelogField field,
										  FeathubChangelogEquals equals, const void *text,
										  FeathubChange *change, FeathubDecodeError *error);

/* Errors: the field of the operation, or that of the row's image, is not there. */
extern bool FeathubChangelogNoOperation(const FeathubChangelogDialect *dialect,
										FeathubDecodeError *error);
extern bool FeathubChangelogNoImage(const FeathubChangelogDialect *dialect,
									FeathubChangelogField field, FeathubDecodeError *error);

/* Microseconds since 1970 as a timestamp; DT_NOBEGIN if that is none. */
extern TimestampTz FeathubChangelogTime(int64 micros);

#endif							/* FEATHUB_FORMATS_CHANGELOG_H */
