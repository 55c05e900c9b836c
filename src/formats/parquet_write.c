/*
 * parquet_write.c
 *		Format parquet: writing.
 *
 * Rows are gathered into arrays of the Arrow C data interface, one for each
 * column, and given to the library in batches; it encodes them at once, and
 * keeps the pages of a row group until that is written.
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "core/guc.h"
#include "formats/format_private.h"
#include "formats/parquet_format.h"
#include "formats/shape.h"

/* A batch has so many rows or bytes. */
#define BATCH_ROWS 8192
#define BATCH_BYTES (1024 * 1024)

/* A buffer larger than this is not kept for the next batch. */
#define KEEP_BYTES (16 * 1024 * 1024)

/* Bytes of a page. */
#define PAGE_BYTES (1024 * 1024)

typedef struct Bytes
{
	char	   *data;
	Size		len;
	Size		size;
} Bytes;

/* The values of one field, on their way. */
typedef struct Builder
{
	const char *column;			/* whose it is, for messages */
	FeathubShape *shape;
	FeathubConverter *type;
	FmgrInfo	output;			/* of shapes that are text */
	int64		n;
	int64		nulls;
	Bytes		valid;			/* a bit each */
	Bytes		data;
	Bytes		offsets;		/* of strings and lists, int32 */
	int			nchildren;
	struct Builder **children;
	TupleDesc	tupdesc;		/* of a struct */
	int		   *attributes;		/* of a struct: index of each child's attribute */
	int			levels;			/* of a list: dimensions from here on */

	struct ArrowSchema schema;
	struct ArrowArray array;
	struct ArrowSchema **child_schemas;
	struct ArrowArray **child_arrays;
	const void *buffers[3];
} Builder;

typedef struct ParquetWriter
{
	FeathubFileWriter base;
	const FeathubParquetApi *api;
	FeathubOutput *output;
	FeathubParquetOptions *options;
	FeathubParquetWriter *handle;
	MemoryContextCallback callback; /* frees it */
	ErrorData  *pending;		/* caught in write */
	MemoryContext context;
	MemoryContext row_context;
	Builder		root;			/* a struct: children are the columns */
	AttrNumber *attnums;
	Size		batch_bytes;
	int64		group_bytes;
	int64		group_rows;
} ParquetWriter;

static void *
extend(Bytes *buffer, Size len, MemoryContext context)
{
	void	   *result;

	if (buffer->len + len > buffer->size)
	{
		Size		size = Max(buffer->size * 2, buffer->len + len + 64);

		buffer->data = buffer->data == NULL ? MemoryContextAllocHuge(context, size) :
			repalloc_huge(buffer->data, size);
		buffer->size = size;
	}
	result = buffer->data + buffer->len;
	buffer->len += len;
	return result;
}

static void
empty(Bytes *buffer)
{
	buffer->len = 0;
	if (buffer->size > KEEP_BYTES)
	{
		pfree(buffer->data);
		buffer->data = NULL;
		buffer->size = 0;
	}
}

static void
release_schema(struct ArrowSchema *schema)
{
	schema->release = NULL;
}

static void
release_array(struct ArrowArray *array)
{
	array->release = NULL;
}

/* The metadata that makes a field one of an extension type. */
static char *
extension_metadata(const char *extension)
{
	static const char *const keys[] = {"ARROW:extension:name", "ARROW:extension:metadata"};
	const char *values[] = {extension, ""};
	StringInfoData buf;
	int32		n = lengthof(keys);

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (const char *) &n, sizeof(n));
	for (int i = 0; i < lengthof(keys); i++)
	{
		int32		len = strlen(keys[i]);

		appendBinaryStringInfo(&buf, (const char *) &len, sizeof(len));
		appendStringInfoString(&buf, keys[i]);
		len = strlen(values[i]);
		appendBinaryStringInfo(&buf, (const char *) &len, sizeof(len));
		appendStringInfoString(&buf, values[i]);
	}
	return buf.data;
}

static const char *
arrow_format(const FeathubShape *shape)
{
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			return "b";
		case FEATHUB_SHAPE_INT:
			return shape->bits == 16 ? "s" : shape->bits == 32 ? "i" : "l";
		case FEATHUB_SHAPE_FLOAT:
			return shape->bits == 32 ? "f" : "g";
		case FEATHUB_SHAPE_DECIMAL:
			return shape->precision <= 38 ?
				psprintf("d:%d,%d", shape->precision, shape->scale) :
				psprintf("d:%d,%d,256", shape->precision, shape->scale);
		case FEATHUB_SHAPE_BYTES:
			return "z";
		case FEATHUB_SHAPE_UUID:
			return "w:16";
		case FEATHUB_SHAPE_DATE:
			return "tdD";
		case FEATHUB_SHAPE_TIME:
			return "ttu";
		case FEATHUB_SHAPE_TIMESTAMP:
			return "tsu:";
		case FEATHUB_SHAPE_INSTANT:
			return "tsu:UTC";
		case FEATHUB_SHAPE_LIST:
			return "+l";
		case FEATHUB_SHAPE_STRUCT:
			return "+s";
		default:
			return "u";
	}
}

static void make_children(Builder *builder);

/* name: UTF-8. */
static void
make_builder(Builder *builder, const char *column, const char *name, FeathubShape *shape,
			 FeathubConverter *type)
{
	check_stack_depth();
	builder->column = column;
	builder->shape = shape;
	builder->type = type;
	if (type != NULL)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(type->base, &output, &varlena);
		fmgr_info(output, &builder->output);
	}
	make_children(builder);
	builder->schema.format = arrow_format(shape);
	builder->schema.name = name;
	builder->schema.flags = ARROW_FLAG_NULLABLE;
	if (shape->kind == FEATHUB_SHAPE_JSON)
		builder->schema.metadata = extension_metadata("arrow.json");
	if (shape->kind == FEATHUB_SHAPE_UUID)
		builder->schema.metadata = extension_metadata("arrow.uuid");
	builder->schema.n_children = builder->nchildren;
	builder->schema.children = builder->child_schemas;
	builder->schema.release = release_schema;
}

static void
add_child(Builder *builder, const char *name, FeathubShape *shape, FeathubConverter *type)
{
	Builder    *child = palloc0(sizeof(Builder));
	int			i = builder->nchildren++;

	make_builder(child, builder->column, name, shape, type);
	builder->children[i] = child;
	builder->child_schemas[i] = &child->schema;
	builder->child_arrays[i] = &child->array;
}

static void
make_child_arrays(Builder *builder, int n)
{
	builder->children = palloc0(sizeof(Builder *) * Max(n, 1));
	builder->child_schemas = palloc0(sizeof(struct ArrowSchema *) * Max(n, 1));
	builder->child_arrays = palloc0(sizeof(struct ArrowArray *) * Max(n, 1));
}

static void
make_children(Builder *builder)
{
	FeathubShape *shape = builder->shape;
	FeathubConverter *type = builder->type;

	if (shape->kind == FEATHUB_SHAPE_LIST)
	{
		FeathubShape *element = shape->children[0];

		/* further dimensions are lists in a list, of the same array */
		make_child_arrays(builder, 1);
		builder->levels = 1;
		if (element->kind == FEATHUB_SHAPE_LIST)
		{
			add_child(builder, "element", element, type);
			builder->levels = builder->children[0]->levels + 1;
		}
		else
			add_child(builder, "element", element, type->element);
	}
	else if (shape->kind == FEATHUB_SHAPE_STRUCT && type != NULL)
	{
		int			child = 0;

		make_child_arrays(builder, shape->nchildren);
		builder->tupdesc = type->tupdesc;
		builder->attributes = palloc(sizeof(int) * Max(shape->nchildren, 1));
		for (int i = 0; i < type->tupdesc->natts; i++)
		{
			const char *name;

			if (type->attributes[i] == NULL)
				continue;
			name = shape->children[child]->name;
			builder->attributes[child] = i;
			add_child(builder, pstrdup(pg_server_to_any(name, strlen(name), PG_UTF8)),
					  shape->children[child], type->attributes[i]);
			child++;
		}
		if (child == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					 errmsg("cannot write column \"%s\" to a parquet file", builder->column),
					 errdetail("Its composite type %s has no attributes.",
							   format_type_be(type->base))));
	}
}

/* What every value has: its bit. */
static void
append_validity(ParquetWriter *writer, Builder *builder, bool isnull)
{
	if (builder->n % 8 == 0)
		*(uint8 *) extend(&builder->valid, 1, writer->context) = 0;
	if (isnull)
		builder->nulls++;
	else
		builder->valid.data[builder->n / 8] |= 1 << (builder->n % 8);
	builder->n++;
}

static void
append_bytes(ParquetWriter *writer, Builder *builder, const char *data, Size len)
{
	if (len > 0)
		memcpy(extend(&builder->data, len, writer->context), data, len);
	writer->batch_bytes += len;
}

static void
append_offset(ParquetWriter *writer, Builder *builder, int64 offset)
{
	if (offset > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("values of column \"%s\" are too large for one batch", builder->column)));
	*(int32 *) extend(&builder->offsets, sizeof(int32), writer->context) = (int32) offset;
	writer->batch_bytes += sizeof(int32);
}

static void append_value(ParquetWriter *writer, Builder *builder, Datum value, bool isnull);

/* The elements of one dimension; *next is the index of the first. */
static void
append_dimension(ParquetWriter *writer, Builder *builder, ArrayType *array, int dimension,
				 const Datum *values, const bool *nulls, int *next)
{
	Builder    *child = builder->children[0];
	int			n = ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[dimension];

	append_validity(writer, builder, false);
	for (int i = 0; i < n; i++)
	{
		if (builder->levels > 1)
			append_dimension(writer, child, array, dimension + 1, values, nulls, next);
		else
		{
			append_value(writer, child, values[*next], nulls[*next]);
			(*next)++;
		}
	}
	append_offset(writer, builder, child->n);
}

static void
append_list(ParquetWriter *writer, Builder *builder, Datum value)
{
	FeathubConverter *type = builder->type;
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			next = 0;

	if (ARR_NDIM(array) != 0 && ARR_NDIM(array) != builder->levels)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of column \"%s\" has %d dimensions, not %d", builder->column,
						ARR_NDIM(array), builder->levels),
				 errhint("Dimensions of arrays are those of the column's declaration.")));
	deconstruct_array(array, type->element->typid, type->elmlen, type->elmbyval, type->elmalign,
					  &values, &nulls, &n);
	append_dimension(writer, builder, array, 0, values, nulls, &next);
}

static void
append_struct(ParquetWriter *writer, Builder *builder, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple;
	int			natts = builder->tupdesc->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc(natts);

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, builder->tupdesc, values, nulls);
	for (int i = 0; i < builder->nchildren; i++)
		append_value(writer, builder->children[i], values[builder->attributes[i]],
					 nulls[builder->attributes[i]]);
}

/* A null has a place in the data all the same. */
static void
append_null(ParquetWriter *writer, Builder *builder)
{
	static const int widths[] = {
		[FEATHUB_SHAPE_UUID] = UUID_LEN,
		[FEATHUB_SHAPE_DATE] = 4,
		[FEATHUB_SHAPE_TIME] = 8,
		[FEATHUB_SHAPE_TIMESTAMP] = 8,
		[FEATHUB_SHAPE_INSTANT] = 8
	};
	FeathubShapeKind kind = builder->shape->kind;
	int			width = 0;

	append_validity(writer, builder, true);
	switch (kind)
	{
		case FEATHUB_SHAPE_BOOL:
			if ((builder->n - 1) % 8 == 0)
				width = 1;
			break;
		case FEATHUB_SHAPE_INT:
		case FEATHUB_SHAPE_FLOAT:
			width = builder->shape->bits / 8;
			break;
		case FEATHUB_SHAPE_DECIMAL:
			width = builder->shape->precision <= 38 ? 16 : 32;
			break;
		case FEATHUB_SHAPE_UUID:
		case FEATHUB_SHAPE_DATE:
		case FEATHUB_SHAPE_TIME:
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			width = widths[kind];
			break;
		case FEATHUB_SHAPE_LIST:
			append_offset(writer, builder, builder->children[0]->n);
			break;
		case FEATHUB_SHAPE_STRUCT:
			for (int i = 0; i < builder->nchildren; i++)
				append_null(writer, builder->children[i]);
			break;
		default:
			append_offset(writer, builder, builder->data.len);
			break;
	}
	if (width > 0)
		memset(extend(&builder->data, width, writer->context), 0, width);
	writer->batch_bytes += width;
}

#define APPEND_FIXED(ctype, value) \
	do { \
		*(ctype *) extend(&builder->data, sizeof(ctype), writer->context) = (value); \
		writer->batch_bytes += sizeof(ctype); \
	} while (0)

static void
append_number(ParquetWriter *writer, Builder *builder, Datum value)
{
	FeathubShape *shape = builder->shape;

	if (shape->kind == FEATHUB_SHAPE_INT)
	{
		if (shape->bits == 16)
			APPEND_FIXED(int16, DatumGetInt16(value));
		else if (shape->bits == 32)
			APPEND_FIXED(int32, DatumGetInt32(value));
		else
			APPEND_FIXED(int64, DatumGetInt64(value));
	}
	else if (shape->kind == FEATHUB_SHAPE_FLOAT)
	{
		if (shape->bits == 32)
			APPEND_FIXED(float4, DatumGetFloat4(value));
		else
			APPEND_FIXED(float8, DatumGetFloat8(value));
	}
	else
	{
		unsigned char bytes[32];
		int			width = shape->precision <= 38 ? 16 : 32;
		unsigned char *p;

		FeathubNumericToDecimal(DatumGetNumeric(value), shape->precision, shape->scale,
								bytes, width, builder->column);
		p = extend(&builder->data, width, writer->context);
		for (int i = 0; i < width; i++)
			p[i] = bytes[width - 1 - i];
		writer->batch_bytes += width;
	}
}

static void
append_bool(ParquetWriter *writer, Builder *builder, bool value)
{
	int64		at = builder->n - 1;

	if (at % 8 == 0)
		*(uint8 *) extend(&builder->data, 1, writer->context) = 0;
	if (value)
		builder->data.data[at / 8] |= 1 << (at % 8);
}

static void
append_value(ParquetWriter *writer, Builder *builder, Datum value, bool isnull)
{
	if (isnull)
	{
		append_null(writer, builder);
		return;
	}
	if (builder->shape->kind == FEATHUB_SHAPE_LIST)
	{
		append_list(writer, builder, value);
		return;
	}

	append_validity(writer, builder, false);
	switch (builder->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			append_bool(writer, builder, DatumGetBool(value));
			break;
		case FEATHUB_SHAPE_INT:
		case FEATHUB_SHAPE_FLOAT:
		case FEATHUB_SHAPE_DECIMAL:
			append_number(writer, builder, value);
			break;
		case FEATHUB_SHAPE_UUID:
			append_bytes(writer, builder, (const char *) DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case FEATHUB_SHAPE_DATE:
			APPEND_FIXED(int32, FeathubDateToUnix(value, builder->column));
			break;
		case FEATHUB_SHAPE_TIME:
			APPEND_FIXED(int64, DatumGetTimeADT(value));
			break;
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			APPEND_FIXED(int64, FeathubTimestampToUnix(value, builder->column));
			break;
		case FEATHUB_SHAPE_STRUCT:
			append_struct(writer, builder, value);
			break;
		case FEATHUB_SHAPE_BYTES:
			{
				bytea	   *bytes = DatumGetByteaPP(value);

				append_bytes(writer, builder, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				append_offset(writer, builder, builder->data.len);
				break;
			}
		default:
			{
				const char *data;
				Size		len;

				FeathubValueText(builder->type, &builder->output, value, &data, &len);
				append_bytes(writer, builder, data, len);
				append_offset(writer, builder, builder->data.len);
				break;
			}
	}
}

/* Lists and strings have one offset more than values. */
static bool
has_offsets(const Builder *builder)
{
	const char *format = builder->schema.format;

	return strcmp(format, "u") == 0 || strcmp(format, "z") == 0 || strcmp(format, "+l") == 0;
}

static void
start_batch(ParquetWriter *writer, Builder *builder)
{
	builder->n = builder->nulls = 0;
	empty(&builder->valid);
	empty(&builder->data);
	empty(&builder->offsets);
	if (has_offsets(builder))
		append_offset(writer, builder, 0);
	for (int i = 0; i < builder->nchildren; i++)
		start_batch(writer, builder->children[i]);
}

static void
fill_array(Builder *builder)
{
	struct ArrowArray *array = &builder->array;
	int			n = 0;

	memset(array, 0, sizeof(*array));
	array->length = builder->n;
	array->null_count = builder->nulls;
	builder->buffers[n++] = builder->nulls > 0 ? builder->valid.data : NULL;
	if (has_offsets(builder))
		builder->buffers[n++] = builder->offsets.data;
	if (builder->nchildren == 0)
		builder->buffers[n++] = builder->data.data;
	array->n_buffers = n;
	array->buffers = builder->buffers;
	array->n_children = builder->nchildren;
	array->children = builder->child_arrays;
	array->release = release_array;
	for (int i = 0; i < builder->nchildren; i++)
		fill_array(builder->children[i]);
}

static void
check_status(ParquetWriter *writer, bool ok, const FeathubParquetStatus *status)
{
	if (!ok)
		FeathubParquetRaise(status, writer->pending, writer->output->name, true);
}

/* Give the rows gathered to the library. */
static void
flush_batch(ParquetWriter *writer)
{
	FeathubParquetStatus status;
	bool		ok;

	if (writer->root.n == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	fill_array(&writer->root);
	FEATHUB_PARQUET_CALL(ok = writer->api->write(writer->handle, &writer->root.array, &status));
	check_status(writer, ok, &status);
	writer->group_bytes += writer->batch_bytes;
	writer->group_rows += writer->root.n;
	writer->batch_bytes = 0;
	start_batch(writer, &writer->root);
	if (writer->group_bytes >= writer->options->row_group_bytes ||
		writer->group_rows >= writer->options->row_group_rows)
	{
		FEATHUB_PARQUET_CALL(ok = writer->api->new_row_group(writer->handle, &status));
		check_status(writer, ok, &status);
		writer->group_bytes = writer->group_rows = 0;
	}
}

/* From C++: no error may leave. */
static bool
write_sink(void *state, const void *data, int64_t len)
{
	ParquetWriter *writer = state;
	MemoryContext old = CurrentMemoryContext;
	volatile bool ok = false;
	sigset_t	save;

	sigprocmask(SIG_SETMASK, &UnBlockSig, &save);
	PG_TRY();
	{
		writer->output->write(writer->output, data, (Size) len);
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(writer->context);
		writer->pending = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	sigprocmask(SIG_SETMASK, &save, NULL);
	return ok;
}

static void
discard_writer(void *arg)
{
	ParquetWriter *writer = arg;

	if (writer->handle)
		FEATHUB_PARQUET_CALL(writer->api->discard(writer->handle));
	writer->handle = NULL;
}

static void
make_columns(ParquetWriter *writer, TupleDesc tupdesc, int ncolumns, FeathubColumn *columns,
			 void *options)
{
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));

	writer->attnums = palloc(sizeof(AttrNumber) * ncolumns);
	make_child_arrays(&writer->root, ncolumns);
	make_builder(&writer->root, "", "", FeathubShapeMake(FEATHUB_SHAPE_STRUCT), NULL);
	for (int i = 0; i < ncolumns; i++)
	{
		FeathubConverter *type = FeathubConverterMake(columns[i].typid, columns[i].typmod,
													  settings);
		int			dimensions = TupleDescAttr(tupdesc, columns[i].attnum - 1)->attndims;

		writer->attnums[i] = columns[i].attnum;
		writer->root.column = columns[i].name;
		add_child(&writer->root, FeathubParquetFieldName(options, &columns[i]),
				  FeathubShapeOfType(type, dimensions), type);
	}
	writer->root.schema.n_children = writer->root.nchildren;
	writer->root.schema.children = writer->root.child_schemas;
}

FeathubFileWriter *
FeathubParquetOpenWriter(FeathubOutput *output, TupleDesc tupdesc, int ncolumns,
						 FeathubColumn *columns, void *options)
{
	ParquetWriter *writer = palloc0(sizeof(ParquetWriter));
	FeathubParquetSink sink = {0};
	FeathubParquetWriteOptions write = {0};
	FeathubParquetStatus status;

	if (ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write a parquet file without columns")));
	writer->api = FeathubParquetLoad();
	writer->output = output;
	writer->options = options;
	writer->context = CurrentMemoryContext;
	writer->row_context = AllocSetContextCreate(CurrentMemoryContext, "feathub parquet row",
												ALLOCSET_SMALL_SIZES);
	make_columns(writer, tupdesc, ncolumns, columns, options);
	start_batch(writer, &writer->root);
	writer->callback.func = discard_writer;
	writer->callback.arg = writer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &writer->callback);

	sink.state = writer;
	sink.write = write_sink;
	write.codec = writer->options->codec;
	write.level = writer->options->level;
	write.dictionary = writer->options->dictionary;
	write.row_group_rows = writer->options->row_group_rows;
	write.page_bytes = PAGE_BYTES;
	FEATHUB_PARQUET_CALL(writer->handle =
						 writer->api->create(&sink, &writer->root.schema, &write,
											 feathub_file_memory * INT64CONST(1024), &status));
	check_status(writer, writer->handle != NULL, &status);
	return &writer->base;
}

void
FeathubParquetWriteRow(FeathubFileWriter *base, Datum *values, bool *isnull)
{
	ParquetWriter *writer = (ParquetWriter *) base;
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);

	append_validity(writer, &writer->root, false);
	for (int i = 0; i < writer->root.nchildren; i++)
	{
		int			at = writer->attnums[i] - 1;

		append_value(writer, writer->root.children[i], values[at], isnull[at]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_context);
	if (writer->root.n >= BATCH_ROWS || writer->batch_bytes >= BATCH_BYTES ||
		writer->group_rows + writer->root.n >= writer->options->row_group_rows)
		flush_batch(writer);
}

void
FeathubParquetFinishWriter(FeathubFileWriter *base)
{
	ParquetWriter *writer = (ParquetWriter *) base;
	FeathubParquetStatus status;
	bool		ok;

	flush_batch(writer);
	FEATHUB_PARQUET_CALL(ok = writer->api->finish(writer->handle, &status));
	check_status(writer, ok, &status);
	discard_writer(writer);
	MemoryContextDelete(writer->row_context);
}
