/*
 * parquet_format.c
 *		Format parquet: options, the library behind it, and reading.
 *
 * A row group is a unit.  Arrow decodes a batch of rows, each column of which
 * becomes an array of Datums; read_row picks from these.  A batch is as large
 * as a budget of bytes allows, by what the footer says of the row group's size.
 */
#include "postgres.h"

#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "core/guc.h"
#include "formats/format_private.h"
#include "formats/parquet_format.h"
#include "formats/parquet_types.h"

/* Rows of one batch, and the bytes that they should have at most. */
#define BATCH_ROWS 8192
#define BATCH_BYTES (8 * 1024 * 1024)

enum
{
	MISSING_NULL,
	MISSING_ERROR
};

static const FeathubOptionValue missing_values[] = {
	{"null", MISSING_NULL},
	{"error", MISSING_ERROR},
	{NULL, 0}
};

static const FeathubOptionValue codecs[] = {
	{"none", FEATHUB_PARQUET_UNCOMPRESSED},
	{"snappy", FEATHUB_PARQUET_SNAPPY},
	{"gzip", FEATHUB_PARQUET_GZIP},
	{"zstd", FEATHUB_PARQUET_ZSTD},
	{"lz4", FEATHUB_PARQUET_LZ4},
	{"brotli", FEATHUB_PARQUET_BROTLI},
	{NULL, 0}
};

static const FeathubOption parquet_options[] = {
	{
		"codec", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubParquetOptions, codec), .values = codecs,
		.default_value = "zstd",
		.description = "Compression of the pages of files that are written."
	},
	{
		"codec_level", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(FeathubParquetOptions, level), .min = 0, .max = 22,
		.default_value = "0",
		.description = "Its level; 0 is the codec's own default."
	},
	{
		"column_name", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubParquetOptions, column_name),
		.description = "The column's name in the file, if it is not the same."
	},
	{
		"dictionary", FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(FeathubParquetOptions, dictionary), .default_value = "true",
		.description = "Whether repeated values are written once, as a dictionary."
	},
	{
		"missing_columns", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubParquetOptions, missing_columns), .values = missing_values,
		.default_value = "null",
		.description = "What a column is that a file does not have: null in every row, or an error."
	},
	{
		"row_group_bytes", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.offset = offsetof(FeathubParquetOptions, row_group_bytes),
		.min = 64 * 1024, .max = INT64CONST(4) * 1024 * 1024 * 1024,
		.default_value = "134217728",
		.description = "Bytes of values, before compression, after which a row group ends."
	},
	{
		"row_group_rows", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.offset = offsetof(FeathubParquetOptions, row_group_rows),
		.min = 1, .max = 1000000000, .default_value = "1000000",
		.description = "Rows after which a row group ends."
	},
	{
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubParquetOptions, timezone), .check = FeathubTimezoneCheck,
		.default_value = "UTC",
		.description = "The zone in which a file's times without zone are read by columns with one, and the other way round."
	},
	{.name = NULL}
};

typedef struct ParquetColumn
{
	const FeathubColumn *column;
	int			child;			/* of the file's schema, or -1: the file lacks it */
	FeathubConverter *type;
	FeathubConvertSettings settings;
	FeathubArrowNode *node;		/* of the batches of the unit */
	int			position;		/* in the batch */
	Datum	   *values;			/* of the batch */
	bool	   *nulls;
	FeathubDecodeError **errors;	/* of each row of the batch, or NULL: none */
} ParquetColumn;

typedef struct ParquetReader
{
	FeathubFileReader base;
	const FeathubParquetApi *api;
	FeathubInput *input;
	FeathubParquetReader *handle;
	struct ArrowSchema schema;	/* of the file */
	struct ArrowArray batch;
	MemoryContextCallback callback; /* frees the three */
	ErrorData  *pending;		/* caught in read_at */
	MemoryContext context;
	int			ncolumns;
	ParquetColumn *columns;
	MemoryContext unit_context; /* nodes */
	MemoryContext batch_context;	/* values */
	int			nselected;		/* columns that the file has */
	int64		unit_rows;		/* rows of the unit not yet in a batch */
	int64		nrows;			/* of the batch */
	int64		next;			/* row of the batch */
	bool		has_errors;		/* some row of the batch is bad */
} ParquetReader;

const FeathubParquetApi *
FeathubParquetLoad(void)
{
	static const FeathubParquetApi *api = NULL;
	const FeathubParquetApi *(*volatile get) (void) = NULL;
	char		path[MAXPGPATH];
	sigset_t	save;

	if (api != NULL)
		return api;
	snprintf(path, sizeof(path), "%s/feathub_parquet%s", pkglib_path, DLSUFFIX);
	if (access(path, F_OK) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this build of feathub has no parquet"),
				 errdetail("File \"%s\" does not exist.", path),
				 errhint("Install Apache Arrow's parquet library, with ARROW_HOME if pkg-config does not know it, and build feathub again.")));
	/* threads that libraries start at load time do not take the server's signals */
	sigprocmask(SIG_BLOCK, &BlockSig, &save);
	PG_TRY();
	{
		get = (const FeathubParquetApi *(*) (void))
			load_external_function(path, "feathub_parquet_api", true, NULL);
	}
	PG_FINALLY();
	{
		sigprocmask(SIG_SETMASK, &save, NULL);
	}
	PG_END_TRY();
	if (get()->version != FEATHUB_PARQUET_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("library \"%s\" is of another version of feathub", path)));
	api = get();
	return api;
}

void
FeathubParquetRaise(const FeathubParquetStatus *status, ErrorData *pending, const char *file,
					bool writing)
{
	int			code;

	if (pending != NULL)
		ReThrowError(pending);
	switch (status->code)
	{
		case FEATHUB_PARQUET_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 writing ? errmsg("not enough memory to write parquet file \"%s\"", file) :
					 errmsg("not enough memory to read parquet file \"%s\"", file),
					 errdetail_internal("%s", status->message),
					 writing ?
					 errhint("Raise feathub.file_memory, or lower option \"row_group_bytes\" or \"row_group_rows\".") :
					 errhint("Raise feathub.file_memory, unless the file is damaged.")));
			break;
		case FEATHUB_PARQUET_UNSUPPORTED:
			code = ERRCODE_FEATURE_NOT_SUPPORTED;
			break;
		case FEATHUB_PARQUET_DAMAGED:
			code = ERRCODE_DATA_CORRUPTED;
			break;
		default:
			code = ERRCODE_FDW_ERROR;
			break;
	}
	ereport(ERROR,
			(errcode(code),
			 writing ? errmsg("could not write parquet file \"%s\"", file) :
			 errmsg("could not read parquet file \"%s\"", file),
			 errdetail_internal("%s", status->message)));
}

const char *
FeathubParquetFieldName(const void *options, const FeathubColumn *column)
{
	FeathubParquetOptions *own = FeathubFormatColumnOptions(&FeathubParquetFormat, options, column);
	const char *name = own->column_name ? own->column_name : column->name;

	return pstrdup(pg_server_to_any(name, strlen(name), PG_UTF8));
}

/* From C++: no error may leave. */
static int64_t
read_source(void *state, int64_t offset, void *buffer, int64_t len)
{
	ParquetReader *reader = state;
	MemoryContext old = CurrentMemoryContext;
	volatile int64_t n = -1;
	sigset_t	save;

	/* the connector may wait, and be interrupted */
	sigprocmask(SIG_SETMASK, &UnBlockSig, &save);
	PG_TRY();
	{
		n = (int64_t) reader->input->read_at(reader->input, offset, buffer, (Size) len);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(reader->context);
		reader->pending = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	sigprocmask(SIG_SETMASK, &save, NULL);
	return n;
}

static void
release_batch(ParquetReader *reader)
{
	if (reader->batch.release)
		reader->batch.release(&reader->batch);
	reader->batch.release = NULL;
}

static void
free_reader(void *arg)
{
	ParquetReader *reader = arg;

	release_batch(reader);
	if (reader->schema.release)
		reader->schema.release(&reader->schema);
	if (reader->handle)
		FEATHUB_PARQUET_CALL(reader->api->close(reader->handle));
	reader->schema.release = NULL;
	reader->handle = NULL;
}

/* Open the file and read its schema. */
static ParquetReader *
open_file(FeathubInput *input)
{
	ParquetReader *reader = palloc0(sizeof(ParquetReader));
	FeathubParquetSource source = {0};
	FeathubParquetStatus status;
	bool		ok = false;

	reader->api = FeathubParquetLoad();
	reader->input = input;
	reader->context = CurrentMemoryContext;
	reader->callback.func = free_reader;
	reader->callback.arg = reader;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &reader->callback);

	source.state = reader;
	source.size = input->size;
	source.read_at = read_source;
	FEATHUB_PARQUET_CALL(reader->handle =
						 reader->api->open(&source, feathub_file_memory * INT64CONST(1024),
										   &status));
	if (reader->handle != NULL)
		FEATHUB_PARQUET_CALL(ok = reader->api->schema(reader->handle, &reader->schema, &status));
	if (!ok)
		FeathubParquetRaise(&status, reader->pending, input->name, false);
	return reader;
}

/* The file's field of that name, as it is or else without regard to case; -1: none. */
static int
find_field(const struct ArrowSchema *schema, const char *name, const char *file)
{
	int			found = -1;
	int			matches = 0;

	for (int pass = 0; pass < 2 && matches == 0; pass++)
	{
		for (int i = 0; i < schema->n_children; i++)
		{
			const char *field = schema->children[i]->name;

			if (pass == 0 ? strcmp(field, name) != 0 : pg_strcasecmp(field, name) != 0)
				continue;
			found = i;
			matches++;
		}
	}
	if (matches > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("field \"%s\" is ambiguous in file \"%s\"", name, file)));
	return found;
}

/* Find the column in the file, and see that its type fits. */
static void
match_column(ParquetReader *reader, ParquetColumn *pc, const FeathubColumn *column, void *options)
{
	FeathubParquetOptions *own = FeathubFormatColumnOptions(&FeathubParquetFormat, options, column);
	const char *name = FeathubParquetFieldName(options, column);
	FeathubDecodeError error;
	FeathubArrowNode *node;

	pc->column = column;
	pc->settings.zone = FeathubTimezone(own->timezone);
	pc->settings.scratch = reader->batch_context;
	pc->type = FeathubConverterMake(column->typid, column->typmod, &pc->settings);
	pc->child = find_field(&reader->schema, name, reader->input->name);
	if (pc->child < 0)
	{
		if (own->missing_columns == MISSING_ERROR)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("file \"%s\" has no field for column \"%s\"", reader->input->name,
							column->name)));
		if (!FeathubConvertNull(pc->type, &error))
			ereport(ERROR,
					(errcode(error.sqlerrcode),
					 errmsg("file \"%s\" has no field for column \"%s\": %s",
							reader->input->name, column->name, error.message)));
		return;
	}
	node = FeathubArrowNodeMake(reader->schema.children[pc->child],
								reader->api->is_interval(reader->handle, pc->child));
	FeathubShapeCheckFits(node->shape, pc->type, reader->input->name, column);
	FeathubArrowNodeBind(node, pc->type);
	/* start_unit makes it again, as dictionaries have it */
	pc->node = node;
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* Tell Arrow which fields are wanted, each once, in the file's order. */
static void
select_fields(ParquetReader *reader)
{
	int		   *children = palloc(sizeof(int) * Max(reader->ncolumns, 1));
	int			n = 0;
	int			unique = 0;
	FeathubParquetStatus status;
	bool		ok;

	for (int i = 0; i < reader->ncolumns; i++)
	{
		if (reader->columns[i].child >= 0)
			children[n++] = reader->columns[i].child;
	}
	qsort(children, n, sizeof(int), compare_ints);
	for (int i = 0; i < n; i++)
	{
		if (unique == 0 || children[unique - 1] != children[i])
			children[unique++] = children[i];
	}
	for (int i = 0; i < reader->ncolumns; i++)
	{
		ParquetColumn *pc = &reader->columns[i];

		for (pc->position = 0; pc->child >= 0 && children[pc->position] != pc->child;)
			pc->position++;
	}
	reader->nselected = unique;
	if (unique == 0)
		return;
	FEATHUB_PARQUET_CALL(ok = reader->api->select(reader->handle, unique, children, &status));
	if (!ok)
		FeathubParquetRaise(&status, reader->pending, reader->input->name, false);
}

static FeathubFileReader *
parquet_open_reader(FeathubInput *input, TupleDesc tupdesc, int ncolumns,
					FeathubColumn *columns, void *options)
{
	ParquetReader *reader = open_file(input);

	reader->unit_context = AllocSetContextCreate(CurrentMemoryContext, "feathub parquet unit",
												 ALLOCSET_SMALL_SIZES);
	reader->batch_context = AllocSetContextCreate(CurrentMemoryContext, "feathub parquet batch",
												  ALLOCSET_DEFAULT_SIZES);
	reader->ncolumns = ncolumns;
	reader->columns = palloc0(sizeof(ParquetColumn) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
	{
		ParquetColumn *pc = &reader->columns[i];

		match_column(reader, pc, &columns[i], options);
		pc->values = palloc0(sizeof(Datum) * BATCH_ROWS);
		pc->nulls = palloc(BATCH_ROWS);
		memset(pc->nulls, true, BATCH_ROWS);
	}
	select_fields(reader);
	return &reader->base;
}

static int
parquet_count_units(FeathubFileReader *base)
{
	ParquetReader *reader = (ParquetReader *) base;

	return reader->api->count_row_groups(reader->handle);
}

static int64
parquet_count_rows(FeathubFileReader *base)
{
	ParquetReader *reader = (ParquetReader *) base;

	return reader->api->count_rows(reader->handle);
}

/* A comparison as btree orders the values. */
static int
compare_values(TypeCacheEntry *entry, Oid collation, bool is_string, Datum a, Datum b)
{
	if (is_string)
	{
		/* bytes are what the file's bounds order */
		text	   *s = DatumGetTextPP(a);
		text	   *t = DatumGetTextPP(b);
		int			len = Min(VARSIZE_ANY_EXHDR(s), VARSIZE_ANY_EXHDR(t));
		int			result = memcmp(VARDATA_ANY(s), VARDATA_ANY(t), len);

		if (result != 0)
			return result;
		return VARSIZE_ANY_EXHDR(s) < VARSIZE_ANY_EXHDR(t) ? -1 :
			VARSIZE_ANY_EXHDR(s) > VARSIZE_ANY_EXHDR(t);
	}
	return DatumGetInt32(FunctionCall2Coll(&entry->cmp_proc_finfo, collation, a, b));
}

/* May values between least and greatest be what the bound wants? */
static bool
bounds_may_match(ParquetColumn *pc, const FeathubBound *bound, Datum least, Datum greatest)
{
	FeathubConvertKind kind = pc->type->kind;
	bool		is_string = kind == FEATHUB_CONVERT_TEXT || kind == FEATHUB_CONVERT_VARCHAR;
	bool		is_float = pc->node->shape->kind == FEATHUB_SHAPE_FLOAT;
	TypeCacheEntry *entry = lookup_type_cache(pc->type->base, TYPECACHE_CMP_PROC_FINFO);

	if (!OidIsValid(entry->cmp_proc_finfo.fn_oid) && !is_string)
		return true;
	/* no text is a nondeterministic collation's only form of itself */
	if (is_string && OidIsValid(bound->collation) &&
		!get_collation_isdeterministic(bound->collation))
		return true;
	if (is_string && bound->strategy != BTEqualStrategyNumber &&
		!(OidIsValid(bound->collation) && feathub_collation_is_c(bound->collation)))
		return true;
	/* the file's bounds leave NaN out, which is greater than all others here */
	if (is_float && (bound->strategy == BTGreaterStrategyNumber ||
					 bound->strategy == BTGreaterEqualStrategyNumber))
		return true;

	for (int i = 0; i < bound->nvalues; i++)
	{
		int			low = compare_values(entry, bound->collation, is_string, bound->values[i], least);
		int			high = compare_values(entry, bound->collation, is_string, bound->values[i], greatest);

		if (is_float && high > 0 && bound->strategy == BTEqualStrategyNumber)
		{
			/* it may be NaN itself */
			if (kind == FEATHUB_CONVERT_NUMERIC ? numeric_is_nan(DatumGetNumeric(bound->values[i])) :
				kind == FEATHUB_CONVERT_FLOAT4 ? isnan(DatumGetFloat4(bound->values[i])) :
				isnan(DatumGetFloat8(bound->values[i])))
				return true;
		}
		switch (bound->strategy)
		{
			case BTLessStrategyNumber:
				if (low > 0)
					return true;
				break;
			case BTLessEqualStrategyNumber:
				if (low >= 0)
					return true;
				break;
			case BTEqualStrategyNumber:
				if (low >= 0 && high <= 0)
					return true;
				break;
			case BTGreaterEqualStrategyNumber:
				if (high <= 0)
					return true;
				break;
			case BTGreaterStrategyNumber:
				if (high < 0)
					return true;
				break;
			default:
				return true;
		}
	}
	return false;
}

/* Is it a number that is not one, or not there? */
static bool
is_nan_bound(ParquetColumn *pc, Datum value)
{
	switch (pc->type->kind)
	{
		case FEATHUB_CONVERT_FLOAT4:
			return isnan(DatumGetFloat4(value));
		case FEATHUB_CONVERT_FLOAT8:
			return isnan(DatumGetFloat8(value));
		case FEATHUB_CONVERT_NUMERIC:
			return numeric_is_nan(DatumGetNumeric(value));
		default:
			return false;
	}
}

static bool
column_may_match(ParquetReader *reader, ParquetColumn *pc, int unit, const FeathubBound *bound)
{
	FeathubParquetStatistics statistics;
	FeathubParquetStatus status;
	FeathubDecodeError error;
	Datum		values[2];
	bool		nulls[2];
	bool		ok;
	bool		may = true;

	/* a column that is not there is null in every row */
	if (pc->child < 0)
		return bound->is_null_test;
	if (pc->node->shape->nchildren > 0)
		return true;
	FEATHUB_PARQUET_CALL(ok = reader->api->statistics(reader->handle, unit, pc->child,
													  &statistics, &status));
	/* statistics that cannot be read are none */
	if (!ok)
		return true;
	if (bound->is_null_test)
		may = statistics.null_count != 0;
	else if (statistics.null_count >= 0 && statistics.null_count == statistics.num_values)
		may = false;
	else if (!bound->not_null_test && statistics.has_bounds && !pc->type->is_domain)
	{
		FeathubArrowNode *node = FeathubArrowNodeMake(&statistics.schema, false);

		/* the extension's name is the field's: statistics have the bare type */
		if (node->shape->kind == pc->node->shape->kind ||
			(node->shape->kind == FEATHUB_SHAPE_BYTES &&
			 (pc->node->shape->kind == FEATHUB_SHAPE_TEXT ||
			  (pc->node->shape->kind == FEATHUB_SHAPE_UUID && node->width == 16))))
		{
			node->shape = pc->node->shape;
			FeathubArrowNodeBind(node, pc->type);
			if (FeathubArrowKeepsOrder(node) &&
				FeathubArrowConvert(node, &statistics.bounds, 0, 2, values, nulls, &error) &&
				!nulls[0] && !nulls[1] &&
				!is_nan_bound(pc, values[0]) && !is_nan_bound(pc, values[1]))
				may = bounds_may_match(pc, bound, values[0], values[1]);
		}
	}
	if (statistics.schema.release)
		statistics.schema.release(&statistics.schema);
	if (statistics.bounds.release)
		statistics.bounds.release(&statistics.bounds);
	return may;
}

static bool
parquet_unit_may_match(FeathubFileReader *base, int unit, int nbounds, const FeathubBound *bounds)
{
	ParquetReader *reader = (ParquetReader *) base;
	MemoryContext old;
	bool		may = true;

	if (reader->api->row_group_rows(reader->handle, unit) == 0)
		return false;
	old = MemoryContextSwitchTo(reader->unit_context);
	for (int i = 0; may && i < nbounds; i++)
	{
		for (int k = 0; may && k < reader->ncolumns; k++)
		{
			if (reader->columns[k].column->attnum == bounds[i].attnum)
				may = column_may_match(reader, &reader->columns[k], unit, &bounds[i]);
		}
	}
	MemoryContextSwitchTo(old);
	return may;
}

/* Rows of which a batch has about as many bytes as it should. */
static int64
batch_rows(ParquetReader *reader, int unit)
{
	int64		bytes = reader->api->selected_bytes(reader->handle, unit);
	int64		rows = reader->unit_rows;

	if (rows <= 0 || bytes <= 0)
		return BATCH_ROWS;
	return Max(1, Min(BATCH_ROWS, (int64) ((double) rows * BATCH_BYTES / bytes)));
}

static void
parquet_start_unit(FeathubFileReader *base, int unit)
{
	ParquetReader *reader = (ParquetReader *) base;
	struct ArrowSchema schema;
	FeathubParquetStatus status;
	MemoryContext old;
	bool		ok;

	release_batch(reader);
	MemoryContextReset(reader->batch_context);
	MemoryContextReset(reader->unit_context);
	reader->nrows = reader->next = 0;
	reader->unit_rows = reader->api->row_group_rows(reader->handle, unit);
	if (reader->nselected == 0)
		return;

	FEATHUB_PARQUET_CALL(ok = reader->api->start(reader->handle, unit,
												 batch_rows(reader, unit), &schema, &status));
	if (!ok)
		FeathubParquetRaise(&status, reader->pending, reader->input->name, false);
	/* the reader has a place whose owner is told of errors */
	if (reader->schema.release)
		reader->schema.release(&reader->schema);
	reader->schema = schema;
	old = MemoryContextSwitchTo(reader->unit_context);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		ParquetColumn *pc = &reader->columns[i];

		if (pc->child < 0)
			continue;
		if (pc->position >= schema.n_children)
			elog(ERROR, "parquet library returned %d columns", (int) schema.n_children);
		pc->node = FeathubArrowNodeMake(schema.children[pc->position],
										reader->api->is_interval(reader->handle, pc->child));
		FeathubArrowNodeBind(pc->node, pc->type);
	}
	MemoryContextSwitchTo(old);
}

/* One by one, to find out which rows are bad. */
static void
convert_slowly(ParquetReader *reader, ParquetColumn *pc, const struct ArrowArray *array)
{
	pc->errors = palloc0(sizeof(FeathubDecodeError *) * reader->nrows);
	for (int64 i = 0; i < reader->nrows; i++)
	{
		FeathubDecodeError error = {0};

		if (FeathubArrowConvert(pc->node, array, reader->batch.offset + i, 1, &pc->values[i],
								&pc->nulls[i], &error))
			continue;
		(void) FeathubDecodeFailColumn(&error, pc->column);
		pc->errors[i] = palloc(sizeof(FeathubDecodeError));
		*pc->errors[i] = error;
		reader->has_errors = true;
	}
}

/* The next batch; false at the end of the unit. */
static bool
next_batch(ParquetReader *reader)
{
	FeathubParquetStatus status;
	MemoryContext old;
	bool		ok;

	CHECK_FOR_INTERRUPTS();
	release_batch(reader);
	MemoryContextReset(reader->batch_context);
	reader->next = reader->nrows = 0;
	reader->has_errors = false;
	if (reader->unit_rows <= 0)
		return false;
	if (reader->nselected == 0)
	{
		reader->nrows = Min(reader->unit_rows, BATCH_ROWS);
		reader->unit_rows -= reader->nrows;
		return true;
	}

	FEATHUB_PARQUET_CALL(ok = reader->api->next(reader->handle, &reader->batch, &status));
	if (!ok)
		FeathubParquetRaise(&status, reader->pending, reader->input->name, false);
	/* what the footer promises must come: nothing ends early in silence */
	if (reader->batch.release == NULL || reader->batch.length <= 0 ||
		reader->batch.length > reader->unit_rows || reader->batch.length > BATCH_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read parquet file \"%s\"", reader->input->name),
				 errdetail("A row group does not have as many rows as the footer says.")));
	reader->nrows = reader->batch.length;
	reader->unit_rows -= reader->nrows;

	old = MemoryContextSwitchTo(reader->batch_context);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		ParquetColumn *pc = &reader->columns[i];
		FeathubDecodeError error = {0};
		const struct ArrowArray *array;

		pc->errors = NULL;
		if (pc->child < 0)
			continue;
		array = reader->batch.children[pc->position];
		if (!FeathubArrowConvert(pc->node, array, reader->batch.offset, reader->nrows, pc->values,
								 pc->nulls, &error))
			convert_slowly(reader, pc, array);
	}
	MemoryContextSwitchTo(old);
	return true;
}

static bool
parquet_read_row(FeathubFileReader *base, Datum *values, bool *isnull, FeathubDecodeError *error)
{
	ParquetReader *reader = (ParquetReader *) base;
	int64		row;

	error->message = NULL;
	if (reader->next >= reader->nrows && !next_batch(reader))
		return false;
	row = reader->next++;
	for (int i = 0; i < reader->ncolumns; i++)
	{
		ParquetColumn *pc = &reader->columns[i];
		int			at = pc->column->attnum - 1;

		values[at] = pc->values[row];
		isnull[at] = pc->nulls[row];
	}
	if (unlikely(reader->has_errors))
	{
		for (int i = 0; i < reader->ncolumns; i++)
		{
			if (reader->columns[i].errors && reader->columns[i].errors[row])
			{
				*error = *reader->columns[i].errors[row];
				error->message = pstrdup(error->message);
				break;
			}
		}
	}
	return true;
}

static void
parquet_close_reader(FeathubFileReader *base)
{
	ParquetReader *reader = (ParquetReader *) base;

	free_reader(reader);
	MemoryContextDelete(reader->batch_context);
	MemoryContextDelete(reader->unit_context);
}

static List *
parquet_describe(FeathubInput *input, void *options)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub parquet file",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ParquetReader *reader = open_file(input);
	List	   *result = NIL;

	for (int i = 0; i < reader->schema.n_children; i++)
	{
		FeathubArrowNode *node = FeathubArrowNodeMake(reader->schema.children[i],
													  reader->api->is_interval(reader->handle, i));

		MemoryContextSwitchTo(old);
		result = lappend(result, FeathubShapeColumnDef(node->shape));
		MemoryContextSwitchTo(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}

static void
parquet_check(void *options, int ncolumns, FeathubColumn *columns)
{
	static const int most[] = {
		[FEATHUB_PARQUET_GZIP] = 9,
		[FEATHUB_PARQUET_ZSTD] = 22,
		[FEATHUB_PARQUET_BROTLI] = 11
	};
	FeathubParquetOptions *own = options;
	int			limit = own->codec < lengthof(most) ? most[own->codec] : 0;

	if (own->level > limit)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"codec_level\": \"%d\"", own->level),
				 limit > 0 ? errhint("Levels of this codec are 1 to %d.", limit) :
				 errhint("Codecs with levels are brotli, gzip and zstd.")));
}

static const FeathubContainer parquet_container = {
	.open_reader = parquet_open_reader,
	.count_units = parquet_count_units,
	.count_rows = parquet_count_rows,
	.unit_may_match = parquet_unit_may_match,
	.start_unit = parquet_start_unit,
	.read_row = parquet_read_row,
	.close_reader = parquet_close_reader,
	.describe = parquet_describe,
	.open_writer = FeathubParquetOpenWriter,
	.write_row = FeathubParquetWriteRow,
	.finish_writer = FeathubParquetFinishWriter,
};

const FeathubFormat FeathubParquetFormat = {
	.name = "parquet",
	.options = parquet_options,
	.options_size = sizeof(FeathubParquetOptions),
	.check = parquet_check,
	.container = &parquet_container,
};
