/*
 * redis_table.c
 *		A foreign table's columns and keys, as its options say.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connectors/redis/redis_table.h"

/* FeatHub's names in key patterns */
#define NAMESPACE_NAME	"__NAMESPACE__"
#define KEYS_NAME		"__KEYS__"
#define FEATURE_NAME	"__FEATURE_NAME__"
#define FEATURES_PATTERN "{" NAMESPACE_NAME "}:{" KEYS_NAME "}:{" FEATURE_NAME "}"

/* How times begin that we write, as patterns of Lua's. */
#define HASH_TIME	"^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d%.?%d*"
#define JSON_TIME	"^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%d"

/* Metadata that a kind has, by bits. */
#define META(kind)	(1 << REDIS_META_##kind)

static void sort_columns(RedisTable *table, List *pattern);
static void check_metadata(RedisTable *table, Form_pg_attribute att, int kind);
static void check_layout(RedisTable *table);
static void check_values(RedisTable *table);
static List *key_pattern(const RedisOptions *options);
static void make_template(RedisTable *table, List *pattern, const char *feature,
						  RedisTemplate *template);
static void check_template(RedisTable *table);
static void check_guard(RedisTable *table);
static void place_guard(RedisTable *table, bool zoned);
static bool writes_json_time(RedisTable *table, const char *name);
pg_noreturn static void invalid_table(RedisTable *table, const char *reason, const char *hint);

static const int kind_metadata[] = {
	[REDIS_KIND_STRING] = META(TTL) | META(EVENT_TIME),
	[REDIS_KIND_VALUE] = META(TTL) | META(EVENT_TIME),
	[REDIS_KIND_HASH] = META(TTL) | META(FIELD) | META(EVENT_TIME),
	[REDIS_KIND_LIST] = META(TTL) | META(INDEX) | META(EVENT_TIME),
	[REDIS_KIND_SET] = META(TTL) | META(EVENT_TIME),
	[REDIS_KIND_ZSET] = META(TTL) | META(SCORE) | META(EVENT_TIME),
	[REDIS_KIND_STREAM] = META(TTL) | META(ID) | META(TIME),
	[REDIS_KIND_FEATURES] = META(EVENT_TIME),
};

RedisTable *
FeathubRedisTableMake(FeathubRelation *rel)
{
	RedisTable *table = palloc0(sizeof(RedisTable));
	List	   *pattern;

	table->rel = rel;
	table->options = rel->options;
	table->kind = table->options->kind;
	pattern = key_pattern(table->options);
	sort_columns(table, pattern);
	check_layout(table);
	if (table->kind == REDIS_KIND_FEATURES)
	{
		table->features = palloc0(sizeof(RedisTemplate) * table->nvalues);
		for (int i = 0; i < table->nvalues; i++)
			make_template(table, pattern, table->values[i].field, &table->features[i]);
		table->template = table->features[0];
	}
	else
		make_template(table, pattern, NULL, &table->template);
	check_template(table);
	check_values(table);
	check_guard(table);
	return table;
}

void
FeathubRedisTableCodecs(RedisTable *table)
{
	if (table->settings)
		return;
	table->settings = FeathubRedisSettingsMake();
	for (int i = 0; i < table->nkeys; i++)
		table->keys[i].codec = FeathubRedisCodecMake(table->keys[i].typid,
													 table->keys[i].typmod, false,
													 table->settings);
	if (table->field.attnum != 0)
		table->field.codec = FeathubRedisCodecMake(table->field.typid, table->field.typmod,
												   false, table->settings);
	for (int i = 0; i < table->nvalues; i++)
	{
		RedisColumn *column = &table->values[i];

		column->codec = FeathubRedisCodecMake(column->typid, column->typmod,
											  column->elements, table->settings);
		if (table->kind == REDIS_KIND_FEATURES)
		{
			column->codec->feathub = true;
			if (column->codec->element)
				column->codec->element->feathub = true;
		}
	}
}

void
FeathubRedisCheckRelation(FeathubRelation *rel)
{
	RedisOptions *options = rel->options;

	FeathubRedisCheckServer(options, rel->server->servername);
	(void) FeathubRedisTableMake(rel);
}

void
FeathubRedisBadValue(RedisTable *table, const char *key, Size len,
					 FeathubDecodeError *error)
{
	char	   *where = psprintf("foreign table \"%s\", key \"%s\"", table->rel->relname,
								 FeathubRedisShowKey(key, len));

	if (error->attnum > 0)
		where = psprintf("column \"%s\" of %s",
						 NameStr(TupleDescAttr(table->rel->tupdesc, error->attnum - 1)->attname),
						 where);
	ereport(ERROR,
			(errcode(error->sqlerrcode ? error->sqlerrcode : ERRCODE_FDW_ERROR),
			 errmsg("%s", error->message),
			 errcontext("%s", where)));
}

void
FeathubRedisTableKey(RedisTable *table, const Datum *values, const bool *isnull,
					 StringInfo out)
{
	RedisBytes *parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
	RedisBytes *found = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
	int			begin = out->len;

	for (int i = 0; i < table->nkeys; i++)
	{
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in key column \"%s\" of foreign table \"%s\"",
							table->keys[i].attname, table->rel->relname)));
		parts[i] = FeathubRedisEncode(table->keys[i].codec, values[i]);
	}
	FeathubRedisKeyRender(&table->template, parts, out);
	if (table->nkeys < 2)
		return;

	/* 'a:b' and 'c' would make the key of 'a' and 'b:c' */
	if (FeathubRedisKeyMatch(&table->template, out->data + begin, out->len - begin, found))
	{
		int			i = 0;

		while (i < table->nkeys && parts[i].len == found[i].len &&
			   memcmp(parts[i].data, found[i].data, parts[i].len) == 0)
			i++;
		if (i == table->nkeys)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("values of the key columns of foreign table \"%s\" would not be found again in key \"%s\"",
					table->rel->relname,
					FeathubRedisShowKey(out->data + begin, out->len - begin)),
			 errdetail("A value contains the text that stands between two columns in the key.")));
}

/* The parts of the table's keys. */
static List *
key_pattern(const RedisOptions *options)
{
	RedisPatternItem *item;

	if (options->key_pattern)
		return FeathubRedisPatternParse(options->key_pattern);
	if (options->kind == REDIS_KIND_FEATURES)
		return FeathubRedisPatternParse(FEATURES_PATTERN);
	item = palloc(sizeof(RedisPatternItem));
	item->is_name = false;
	item->text = options->singleton_key ? options->singleton_key :
		options->prefix ? options->prefix : "";
	return list_make1(item);
}

/* Is a column of that name in the pattern? */
static bool
pattern_names(List *pattern, const char *name)
{
	ListCell   *lc;

	foreach(lc, pattern)
	{
		RedisPatternItem *item = lfirst(lc);

		if (item->is_name && strcmp(item->text, name) == 0)
			return true;
	}
	return false;
}

static void
sort_columns(RedisTable *table, List *pattern)
{
	FeathubRelation *rel = table->rel;
	int			natts = Max(rel->tupdesc->natts, 1);
	bool		patterned = table->options->key_pattern != NULL;

	table->keys = palloc0(sizeof(RedisColumn) * natts);
	table->values = palloc0(sizeof(RedisColumn) * natts);
	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, i);
		const char *key = FeathubRelationColumnOption(rel, i + 1, "key");
		const char *metadata = FeathubRelationColumnOption(rel, i + 1, "metadata");
		const char *field = FeathubRelationColumnOption(rel, i + 1, "field");
		const char *type = FeathubRelationColumnOption(rel, i + 1, "type");
		const char *event_time = FeathubRelationColumnOption(rel, i + 1, "event_time");
		bool		is_event_time = false;
		RedisColumn *column;
		bool		is_key = false;
		Oid			base;

		if (att->attisdropped || att->attgenerated)
			continue;
		if (key)
			(void) parse_bool(key, &is_key);
		if (patterned && pattern_names(pattern, NameStr(att->attname)))
			is_key = true;
		if (event_time)
			(void) parse_bool(event_time, &is_event_time);
		if (is_event_time && (is_key || metadata))
			invalid_table(table, psprintf("column \"%s\" has option \"event_time\" and another one",
										  NameStr(att->attname)), NULL);
		if (metadata && FeathubRedisMetadataByName(metadata) == REDIS_META_EVENT_TIME)
			is_event_time = true;
		if (is_event_time && table->event_time != 0)
			invalid_table(table, "two columns are event times", NULL);
		if (is_event_time)
			table->event_time = i + 1;
		if (metadata)
		{
			int			kind = FeathubRedisMetadataByName(metadata);

			if (is_key || field || type)
				invalid_table(table, psprintf("column \"%s\" has option \"metadata\" and another one",
											  NameStr(att->attname)), NULL);
			if (table->metadata[kind] != 0)
				invalid_table(table, psprintf("two columns have metadata \"%s\"", metadata), NULL);
			check_metadata(table, att, kind);
			table->metadata[kind] = i + 1;
			if (kind == REDIS_META_FIELD)
			{
				table->field.attnum = i + 1;
				table->field.attname = pstrdup(NameStr(att->attname));
				table->field.typid = att->atttypid;
				table->field.typmod = att->atttypmod;
			}
			continue;
		}
		column = is_key ? &table->keys[table->nkeys++] : &table->values[table->nvalues++];
		column->attnum = i + 1;
		column->attname = pstrdup(NameStr(att->attname));
		column->field = field ? field : column->attname;
		column->typid = att->atttypid;
		column->typmod = att->atttypmod;
		if (is_key)
		{
			if (field || type)
				invalid_table(table, psprintf("key column \"%s\" cannot have options \"field\" and \"type\"",
											  column->attname), NULL);
			continue;
		}
		if (field && table->kind != REDIS_KIND_HASH && table->kind != REDIS_KIND_STREAM &&
			table->kind != REDIS_KIND_FEATURES)
			invalid_table(table, psprintf("option \"field\" of column \"%s\" is for kinds hash, stream and features",
										  column->attname), NULL);
		if (type && table->kind != REDIS_KIND_FEATURES)
			invalid_table(table, psprintf("option \"type\" of column \"%s\" is for kind features",
										  column->attname), NULL);
		base = getBaseType(att->atttypid);
		if (OidIsValid(get_element_type(base)) &&
			(table->kind == REDIS_KIND_LIST || table->kind == REDIS_KIND_SET ||
			 table->kind == REDIS_KIND_FEATURES))
			column->elements = true;
		if (table->kind == REDIS_KIND_FEATURES && (base == JSONBOID || base == JSONOID))
		{
			column->map = true;
			if (type)
				column->type = FeathubRedisTypeParse(type);
		}
		else if (type)
			invalid_table(table, psprintf("option \"type\" of column \"%s\" is for columns of type jsonb",
										  column->attname), NULL);
	}
}

/* Can a column of that type show it? */
static void
check_metadata(RedisTable *table, Form_pg_attribute att, int kind)
{
	Oid			type = att->atttypid;
	bool		ok = false;
	const char *wanted = NULL;

	if ((kind_metadata[table->kind] & (1 << kind)) == 0)
		invalid_table(table, psprintf("kind \"%s\" has no metadata \"%s\"",
									  FeathubRedisKindName(table->kind),
									  FeathubRedisMetadataName(kind)), NULL);
	switch ((RedisMetadata) kind)
	{
		case REDIS_META_TTL:
			ok = type == INTERVALOID || type == INT4OID || type == INT8OID ||
				type == FLOAT8OID || type == TIMESTAMPTZOID;
			wanted = "interval, timestamp with time zone, or seconds as a number";
			break;
		case REDIS_META_SCORE:
			ok = type == FLOAT8OID;
			wanted = "double precision";
			break;
		case REDIS_META_INDEX:
			ok = type == INT8OID || type == INT4OID;
			wanted = "bigint";
			break;
		case REDIS_META_FIELD:
			ok = type == TEXTOID || type == BYTEAOID;
			wanted = "text or bytea";
			break;
		case REDIS_META_ID:
			ok = type == TEXTOID;
			wanted = "text";
			break;
		case REDIS_META_EVENT_TIME:
			ok = type == TIMESTAMPTZOID || type == TIMESTAMPOID;
			wanted = "timestamp with time zone or timestamp";
			break;
		case REDIS_META_TIME:
			ok = type == TIMESTAMPTZOID;
			wanted = "timestamp with time zone";
			break;
		case REDIS_META_COUNT:
			break;
	}
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of foreign table \"%s\" has the wrong type for metadata \"%s\"",
						NameStr(att->attname), table->rel->relname,
						FeathubRedisMetadataName(kind)),
				 errdetail("It is of type %s.",
						   format_type_with_typemod(att->atttypid, att->atttypmod)),
				 errhint("Make it %s.", wanted)));
}

/* Do options and columns say one thing about keys? */
static void
check_layout(RedisTable *table)
{
	const RedisOptions *options = table->options;
	int			given = (options->prefix != NULL) + (options->key_pattern != NULL) +
		(options->singleton_key != NULL);

	if (given > 1)
		invalid_table(table, "only one of options \"prefix\", \"key_pattern\" and \"singleton_key\" can be given", NULL);
	if (options->singleton_key && options->key_set)
		invalid_table(table, "options \"singleton_key\" and \"key_set\" cannot both be given", NULL);
	if (options->singleton_key && table->nkeys > 0)
		invalid_table(table, "a table with option \"singleton_key\" has no columns with option \"key\"", NULL);
	if (options->singleton_key && table->kind == REDIS_KIND_FEATURES)
		invalid_table(table, "kind \"features\" has no option \"singleton_key\"", NULL);
	if (!options->singleton_key && table->nkeys == 0)
		invalid_table(table, "no column has option \"key\"",
					  "Add option key 'true' to the column that holds the key, or use option \"singleton_key\".");
	if (!options->key_pattern && table->nkeys > 1 && table->kind != REDIS_KIND_FEATURES)
		invalid_table(table, "several columns have option \"key\"",
					  "Use option \"key_pattern\", which says how they make a key.");
	if (table->kind == REDIS_KIND_FEATURES && options->prefix)
		invalid_table(table, "kind \"features\" has no option \"prefix\"",
					  "Use options \"namespace\" and \"key_pattern\".");
	if (table->kind == REDIS_KIND_FEATURES && table->nvalues == 0)
		invalid_table(table, "kind \"features\" needs a column besides the key", NULL);
	if (table->kind != REDIS_KIND_VALUE &&
		FeathubOptionsGet(table->rel->table->options, "format"))
		invalid_table(table, "option \"format\" is for kind \"value\"", NULL);
}

/* Does the kind have room for the columns? */
static void
check_values(RedisTable *table)
{
	const char *kind = FeathubRedisKindName(table->kind);
	bool		single = false;

	switch (table->kind)
	{
		case REDIS_KIND_STRING:
			single = true;
			break;
		case REDIS_KIND_LIST:
		case REDIS_KIND_SET:
			single = true;
			table->element_rows = table->nvalues == 0 || !table->values[0].elements;
			break;
		case REDIS_KIND_ZSET:
			single = true;
			table->element_rows = true;
			break;
		case REDIS_KIND_HASH:
			single = table->element_rows = table->metadata[REDIS_META_FIELD] != 0;
			break;
		case REDIS_KIND_STREAM:
			table->element_rows = true;
			break;
		default:
			break;
	}
	if (single && table->nvalues > 1)
		invalid_table(table, psprintf("kind \"%s\" has one column besides those with options \"key\" and \"metadata\", not %d",
									  kind, table->nvalues), NULL);
	if (single && table->nvalues == 0 && table->kind != REDIS_KIND_ZSET)
		invalid_table(table, psprintf("kind \"%s\" needs a column besides those with options \"key\" and \"metadata\"",
									  kind), NULL);
	if (table->kind == REDIS_KIND_LIST && !table->element_rows &&
		table->metadata[REDIS_META_INDEX])
		invalid_table(table, "a list in an array column has no metadata \"index\"", NULL);
	if (table->kind == REDIS_KIND_HASH && !table->element_rows && table->nvalues == 0)
		invalid_table(table, "kind \"hash\" needs a column besides those with options \"key\" and \"metadata\"", NULL);
	if (table->kind != REDIS_KIND_HASH && table->kind != REDIS_KIND_STREAM &&
		table->kind != REDIS_KIND_FEATURES)
		return;
	for (int i = 0; i < table->nvalues; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (!(table->kind == REDIS_KIND_HASH && table->element_rows) &&
				strcmp(table->values[i].field, table->values[j].field) == 0)
				invalid_table(table, psprintf("columns \"%s\" and \"%s\" have the same field",
											  table->values[j].attname,
											  table->values[i].attname), NULL);
		}
	}
}

/* Can the event time guard rows, and where is it kept? */
static void
check_guard(RedisTable *table)
{
	const RedisOptions *options = table->options;
	Form_pg_attribute att;

	table->guard = REDIS_GUARD_NONE;
	if (options->on_old_id != REDIS_OLD_ID_ERROR && table->kind != REDIS_KIND_STREAM)
		invalid_table(table, "option \"on_old_id\" is for kind \"stream\"", NULL);
	if (table->event_time == 0)
	{
		if (options->ttl_from == REDIS_TTL_EVENT_TIME || options->tombstone_ttl > 0)
			invalid_table(table, "options \"ttl_from\" and \"tombstone_ttl\" need an event time",
						  "Add option event_time 'true' to a column.");
		return;
	}
	att = TupleDescAttr(table->rel->tupdesc, table->event_time - 1);
	if (att->atttypid != TIMESTAMPTZOID && att->atttypid != TIMESTAMPOID)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("event time column \"%s\" of foreign table \"%s\" is of type %s",
						NameStr(att->attname), table->rel->relname,
						format_type_with_typemod(att->atttypid, att->atttypmod)),
				 errhint("Make it timestamp with time zone or timestamp.")));
	if (options->write_mode != REDIS_WRITE_UPSERT)
		invalid_table(table, "an event time needs option write_mode 'upsert'", NULL);
	if (table->kind == REDIS_KIND_STREAM || (table->kind == REDIS_KIND_LIST && table->element_rows))
		invalid_table(table, psprintf("rows of kind \"%s\" are added and replace none, so an event time guards nothing",
									  FeathubRedisKindName(table->kind)), NULL);
	if (table->element_rows)
	{
		table->guard = REDIS_GUARD_MEMBER;
		if (table->kind != REDIS_KIND_HASH && table->values[0].attnum == table->event_time)
			invalid_table(table, "the event time cannot be the element itself", NULL);
		return;
	}
	place_guard(table, att->atttypid == TIMESTAMPTZOID);
}

/* In the row if that has a place for it that the script can read. */
static void
place_guard(RedisTable *table, bool zoned)
{
	const char *name = NULL;

	table->guard = REDIS_GUARD_KEY;
	for (int i = 0; i < table->nvalues; i++)
	{
		if (table->values[i].attnum == table->event_time)
			name = table->values[i].field;
	}
	if (name && table->kind == REDIS_KIND_HASH)
	{
		table->guard = REDIS_GUARD_FIELD;
		table->guard_field = name;
		table->guard_shape = zoned ? HASH_TIME "%+00$" : HASH_TIME "$";
	}
	else if (name && table->kind == REDIS_KIND_VALUE && writes_json_time(table, name))
	{
		table->guard = REDIS_GUARD_VALUE;
		table->guard_field = name;
		table->guard_mark = psprintf("{\"%s\":\"", name);
		table->guard_width = strlen("2000-01-01T00:00:00.000000") + zoned;
		table->guard_shape = zoned ? JSON_TIME "Z$" : JSON_TIME "$";
	}
}

/* Is the time a string of ISO 8601, in a field whose name is written as it is? */
static bool
writes_json_time(RedisTable *table, const char *name)
{
	FeathubRelation *rel = table->rel;
	const char *text = FeathubRelationColumnOption(rel, table->event_time, "timestamp_format");

	if (rel->format == NULL || strcmp(rel->format->name, "json") != 0 ||
		FeathubRelationColumnOption(rel, table->event_time, "path"))
		return false;
	if (text == NULL)
		text = FeathubOptionsGet(rel->table->options, "timestamp_format");
	if (text && pg_strcasecmp(text, "iso8601") != 0)
		return false;
	for (const char *p = name; *p; p++)
	{
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return false;
	}
	return true;
}

static void
add_piece(RedisTemplate *template, int column, const char *text)
{
	RedisPiece *last = template->npieces > 0 ?
		&template->pieces[template->npieces - 1] : NULL;

	if (column < 0 && text[0] == '\0')
		return;
	if (column < 0 && last && last->column < 0)
	{
		last->text = psprintf("%s%s", last->text, text);
		last->len = strlen(last->text);
		return;
	}
	template->pieces[template->npieces].column = column;
	template->pieces[template->npieces].text = text ? pstrdup(text) : NULL;
	template->pieces[template->npieces++].len = text ? strlen(text) : 0;
	template->ncolumns += column >= 0;
}

/* The pattern with names looked up; feature: what stands for its name, or NULL. */
static void
make_template(RedisTable *table, List *pattern, const char *feature,
			  RedisTemplate *template)
{
	bool		has_namespace = false;
	bool		has_feature = false;
	bool		names = false;
	ListCell   *lc;

	template->pieces = palloc0(sizeof(RedisPiece) * (list_length(pattern) + 2 * table->nkeys + 2));
	foreach(lc, pattern)
	{
		RedisPatternItem *item = lfirst(lc);
		int			found = -1;

		if (!item->is_name)
		{
			add_piece(template, -1, item->text);
			continue;
		}
		names = true;
		if (feature && strcmp(item->text, NAMESPACE_NAME) == 0)
		{
			add_piece(template, -1, table->options->name_space);
			has_namespace = true;
			continue;
		}
		if (feature && strcmp(item->text, FEATURE_NAME) == 0)
		{
			add_piece(template, -1, feature);
			has_feature = true;
			continue;
		}
		if (feature && strcmp(item->text, KEYS_NAME) == 0)
		{
			for (int i = 0; i < table->nkeys; i++)
			{
				if (i > 0)
					add_piece(template, -1, ":");
				add_piece(template, i, NULL);
			}
			continue;
		}
		for (int i = 0; i < table->nkeys; i++)
		{
			if (strcmp(table->keys[i].attname, item->text) == 0)
				found = i;
		}
		if (found < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("column \"%s\" in option \"key_pattern\" of foreign table \"%s\" does not exist",
							item->text, table->rel->relname)));
		add_piece(template, found, NULL);
	}
	if (!names && !table->options->singleton_key && table->nkeys == 1 &&
		!table->options->key_pattern)
		add_piece(template, 0, NULL);
	if (feature && !has_namespace)
		invalid_table(table, "the key pattern must contain {" NAMESPACE_NAME "}, so that keys are unique in Redis", NULL);
	if (feature && !has_feature && table->nvalues > 1)
		invalid_table(table, "the key pattern must contain {" FEATURE_NAME "}, or the table must have only one column besides the key", NULL);
}

/* Every key column once, and something between two of them. */
static void
check_template(RedisTable *table)
{
	RedisTemplate *template = &table->template;
	Bitmapset  *seen = NULL;

	for (int i = 0; i < template->npieces; i++)
	{
		int			column = template->pieces[i].column;

		if (column < 0)
			continue;
		if (bms_is_member(column, seen))
			invalid_table(table, psprintf("column \"%s\" is in the key pattern more than once",
										  table->keys[column].attname), NULL);
		seen = bms_add_member(seen, column);
		if (i > 0 && template->pieces[i - 1].column >= 0)
			invalid_table(table, psprintf("columns \"%s\" and \"%s\" stand in the key pattern with nothing between them",
										  table->keys[template->pieces[i - 1].column].attname,
										  table->keys[column].attname), NULL);
	}
	for (int i = 0; i < table->nkeys; i++)
	{
		if (!bms_is_member(i, seen))
			invalid_table(table, psprintf("column \"%s\" has option \"key\" but is not in the key pattern",
										  table->keys[i].attname), NULL);
	}
}

static void
invalid_table(RedisTable *table, const char *reason, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid definition of foreign table \"%s\": %s",
					table->rel->relname, reason),
			 hint ? errhint("%s", hint) : 0));
}
