/*
 * options.h
 *		Options of servers, user mappings, foreign tables and columns.
 *
 * Every connector and every format has one table of its options.  Validation,
 * hints, defaults and the README's table follow from it, and a parsed value
 * lands in a field of the owner's struct: nobody else compares option names.
 */
#ifndef FEATHUB_CORE_OPTIONS_H
#define FEATHUB_CORE_OPTIONS_H

#include "nodes/pg_list.h"

/* Where an option may stand; a bit each, so that one option can have several. */
#define FEATHUB_ON_SERVER		0x01
#define FEATHUB_ON_USER_MAPPING	0x02
#define FEATHUB_ON_TABLE		0x04
#define FEATHUB_ON_COLUMN		0x08
#define FEATHUB_ON_IMPORT		0x10	/* IMPORT FOREIGN SCHEMA ... OPTIONS */

/* What is particular to an option. */
#define FEATHUB_OPTION_REQUIRED	0x01	/* of the object named by "where" */
#define FEATHUB_OPTION_SECRET	0x02	/* user mappings only; in no message */
#define FEATHUB_OPTION_READS_FILE 0x04	/* needs pg_read_server_files */
#define FEATHUB_OPTION_SUPERUSER 0x08	/* only they give it a value but its default */
#define FEATHUB_OPTION_IN_FOLDERS 0x10	/* or feathub.allowed_folders */

typedef enum FeathubOptionType
{
	FEATHUB_OPTION_BOOL,		/* bool field */
	FEATHUB_OPTION_INT,			/* int field, min and max apply */
	FEATHUB_OPTION_INT64,		/* int64 field, min and max apply */
	FEATHUB_OPTION_FLOAT,		/* double field, min and max apply */
	FEATHUB_OPTION_STRING,		/* char * field */
	FEATHUB_OPTION_CHAR,		/* char field: one single-byte character */
	FEATHUB_OPTION_ENUM			/* int field, one of "values" */
} FeathubOptionType;

typedef struct FeathubOptionValue
{
	const char *name;			/* NULL ends the list */
	int			value;
} FeathubOptionValue;

typedef struct FeathubOption
{
	const char *name;			/* NULL ends the table */
	uint32		where;			/* FEATHUB_ON_... */
	FeathubOptionType type;
	uint32		flags;			/* FEATHUB_OPTION_... */
	size_t		offset;			/* of the field that takes the value */
	int64		min;
	int64		max;			/* both 0: no limits */
	const FeathubOptionValue *values;	/* of an ENUM */
	const char *default_value;	/* read as a user's value; NULL: field stays 0 */
	void		(*check) (const char *name, const char *value); /* or NULL; ereports */
	const char *description;	/* a sentence, for the README and the hint */
} FeathubOption;

/*
 * FeathubOptionsParse
 *		Fill the fields of *target from a list of DefElem.
 *
 * "where" says where the list stands (one FEATHUB_ON_... bit).  Defaults are
 * not applied: call FeathubOptionsDefaults first, then Parse for the server,
 * the user mapping and the table in turn, so that the narrower place wins.
 * Names that are not in the table are left alone: FeathubOptionsValidate has
 * refused them when the object was made.
 */
extern void FeathubOptionsDefaults(const FeathubOption *options, uint32 where,
								   void *target);
extern void FeathubOptionsParse(const FeathubOption *options, uint32 where,
								List *deflist, void *target);

/*
 * FeathubOptionsCheckRequired
 *		Raise an error for a required option that deflist does not give.
 *
 * Only options that may stand nowhere but at "where" (several bits, if deflist
 * is several lists) are required.  object is for the message, for instance: foreign table "weather_stream".
 */
extern void FeathubOptionsCheckRequired(const FeathubOption *options, uint32 where,
										List *deflist, const char *object);

/* The entry of that name allowed at "where" (0: anywhere), or NULL. */
extern const FeathubOption *FeathubOptionsFind(const FeathubOption *options,
											   uint32 where, const char *name);

/*
 * FeathubOptionsCheckValue
 *		Raise an error unless the value is one that the option takes.
 *
 * SQLSTATE FDW_INVALID_ATTRIBUTE_VALUE; a secret's value is not shown.
 */
extern void FeathubOptionsCheckValue(const FeathubOption *option, const char *value);

/*
 * FeathubOptionsClosest
 *		The closest name to a wrong one, for a hint, or NULL.
 *
 * tables is a NULL-terminated array of option tables.
 */
extern const char *FeathubOptionsClosest(const FeathubOption *const *tables,
										 uint32 where, const char *name);

/*
 * FeathubOptionsReject
 *		Raise FDW_INVALID_OPTION_NAME for a name that is not allowed at "where".
 *
 * The hint says where the option belongs if a table knows it, else the closest
 * valid name, else all valid names.
 */
extern void FeathubOptionsReject(const FeathubOption *const *tables, uint32 where,
								 const char *name) __attribute__((noreturn));

/* The value of one option of a list, or NULL. */
extern const char *FeathubOptionsGet(List *deflist, const char *name);

#endif							/* FEATHUB_CORE_OPTIONS_H */
