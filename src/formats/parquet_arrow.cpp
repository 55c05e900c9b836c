/*
 * parquet_arrow.cpp
 *		Apache Arrow C++'s parquet library, wrapped for C.
 *
 * Every function below catches what Arrow throws, copies the message and
 * returns.  Arrow is told to use no threads: files are read and columns decoded
 * where the call comes from.  All of its buffers come from a pool of the
 * reader's or writer's own, which refuses to grow beyond a limit.
 */
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/config.h>
#include <arrow/util/future.h>
#include <parquet/api/reader.h>
#include <parquet/api/writer.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/statistics.h>

#include "formats/parquet_arrow.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

/* Bytes of a column read at a time. */
#define READ_BUFFER (256 * 1024)

namespace
{

using arrow::Result;
using arrow::Status;

/* malloc, counted. */
class LimitedPool : public arrow::MemoryPool
{
public:
	explicit LimitedPool(int64_t limit) : parent(arrow::system_memory_pool()), limit(limit) {}

	Status
	Allocate(int64_t size, int64_t alignment, uint8_t **out) override
	{
		if (size > limit - used)
			return refuse(size);
		ARROW_RETURN_NOT_OK(parent->Allocate(size, alignment, out));
		add(size);
		return Status::OK();
	}

	Status
	Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t **ptr) override
	{
		if (new_size > old_size && new_size - old_size > limit - used)
			return refuse(new_size);
		ARROW_RETURN_NOT_OK(parent->Reallocate(old_size, new_size, alignment, ptr));
		add(new_size - old_size);
		return Status::OK();
	}

	void
	Free(uint8_t *buffer, int64_t size, int64_t alignment) override
	{
		parent->Free(buffer, size, alignment);
		used -= size;
	}

	int64_t bytes_allocated() const override { return used; }
	int64_t total_bytes_allocated() const override { return total; }
	int64_t num_allocations() const override { return allocations; }
	int64_t max_memory() const override { return most; }
	std::string backend_name() const override { return "feathub"; }

	bool refused = false;

private:
	void
	add(int64_t size)
	{
		used += size;
		if (size > 0)
		{
			total += size;
			allocations++;
		}
		if (used > most)
			most = used;
	}

	Status
	refuse(int64_t size)
	{
		refused = true;
		return Status::OutOfMemory("a buffer of ", size, " bytes would make it more than ",
								   limit, " bytes");
	}

	arrow::MemoryPool *parent;
	int64_t		limit;
	int64_t		used = 0;
	int64_t		most = 0;
	int64_t		total = 0;
	int64_t		allocations = 0;
};

/* The caller's source as a file of Arrow's. */
class SourceFile : public arrow::io::RandomAccessFile
{
public:
	SourceFile(const FeathubParquetSource *source, arrow::MemoryPool *pool)
		: source(source), pool(pool) {}

	Status Close() override { is_closed = true; return Status::OK(); }
	bool closed() const override { return is_closed; }
	Result<int64_t> Tell() const override { return position; }
	Status Seek(int64_t to) override { position = to; return Status::OK(); }
	Result<int64_t> GetSize() override { return source->size; }

	Result<int64_t>
	ReadAt(int64_t offset, int64_t len, void *out) override
	{
		int64_t		n;

		if (offset < 0 || len < 0 || offset > source->size)
			return Status::IOError("read outside of the file");
		if (len > source->size - offset)
			len = source->size - offset;
		if (failed)
			return Status::IOError("read after a failure");
		n = len == 0 ? 0 : source->read_at(source->state, offset, out, len);
		if (n < 0)
		{
			failed = true;
			return Status::IOError("could not read");
		}
		return n;
	}

	Result<std::shared_ptr<arrow::Buffer>>
	ReadAt(int64_t offset, int64_t len) override
	{
		/* no allocation for bytes that the file does not have */
		if (offset < 0 || len < 0 || offset > source->size)
			return Status::IOError("read outside of the file");
		if (len > source->size - offset)
			len = source->size - offset;
		ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(len, pool));
		ARROW_ASSIGN_OR_RAISE(int64_t n, ReadAt(offset, len, buffer->mutable_data()));
		if (n < len)
			ARROW_RETURN_NOT_OK(buffer->Resize(n));
		return std::shared_ptr<arrow::Buffer>(std::move(buffer));
	}

	Result<int64_t>
	Read(int64_t len, void *out) override
	{
		ARROW_ASSIGN_OR_RAISE(int64_t n, ReadAt(position, len, out));
		position += n;
		return n;
	}

	Result<std::shared_ptr<arrow::Buffer>>
	Read(int64_t len) override
	{
		ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position, len));
		position += buffer->size();
		return buffer;
	}

	/* Arrow's own would start threads. */
	arrow::Future<std::shared_ptr<arrow::Buffer>>
	ReadAsync(const arrow::io::IOContext &, int64_t offset, int64_t len) override
	{
		return arrow::Future<std::shared_ptr<arrow::Buffer>>::MakeFinished(ReadAt(offset, len));
	}

	bool failed = false;

private:
	const FeathubParquetSource *source;
	arrow::MemoryPool *pool;
	int64_t		position = 0;
	bool		is_closed = false;
};

class SinkFile : public arrow::io::OutputStream
{
public:
	explicit SinkFile(const FeathubParquetSink &sink) : sink(sink) {}

	Status Close() override { is_closed = true; return Status::OK(); }
	bool closed() const override { return is_closed; }
	Result<int64_t> Tell() const override { return position; }

	Status
	Write(const void *data, int64_t len) override
	{
		/* a writer that is thrown away closes its file: nothing more is written */
		if (failed || stopped)
			return Status::IOError("write after a failure");
		if (!sink.write(sink.state, data, len))
		{
			failed = true;
			return Status::IOError("could not write");
		}
		position += len;
		return Status::OK();
	}

	bool failed = false;
	bool stopped = false;

private:
	FeathubParquetSink sink;
	int64_t		position = 0;
	bool		is_closed = false;
};

void
fill(FeathubParquetStatus *status, FeathubParquetCode code, const char *message)
{
	status->code = code;
	/* one line, for a message */
	size_t		n = strcspn(message, "\r\n");

	if (n >= sizeof(status->message))
		n = sizeof(status->message) - 1;
	memcpy(status->message, message, n);
	status->message[n] = '\0';
}

FeathubParquetCode
code_of(const Status &s)
{
	if (s.IsOutOfMemory())
		return FEATHUB_PARQUET_MEMORY;
	if (s.IsNotImplemented())
		return FEATHUB_PARQUET_UNSUPPORTED;
	return FEATHUB_PARQUET_DAMAGED;
}

/*
 * Run body, which returns a Status; true if all went well.  callback_failed and
 * the pool tell better than Arrow's message what went wrong.
 */
template <typename Body>
bool
guarded(FeathubParquetStatus *status, const LimitedPool *pool, const bool *callback_failed,
		FeathubParquetCode otherwise, Body body)
{
	FeathubParquetCode code = FEATHUB_PARQUET_FAILED;
	std::string message;

	status->code = FEATHUB_PARQUET_OK;
	status->message[0] = '\0';
	try
	{
		Status		s = body();

		if (s.ok())
			return true;
		code = code_of(s);
		message = s.message();
	}
	catch (const parquet::ParquetStatusException &e)
	{
		code = code_of(e.status());
		message = e.status().message();
	}
	catch (const std::bad_alloc &)
	{
		code = FEATHUB_PARQUET_MEMORY;
		message = "out of memory";
	}
	catch (const std::exception &e)
	{
		code = FEATHUB_PARQUET_DAMAGED;
		message = e.what();
	}
	catch (...)
	{
		message = "unknown exception";
	}
	if (code == FEATHUB_PARQUET_DAMAGED)
		code = otherwise;
	if (callback_failed && *callback_failed)
		code = FEATHUB_PARQUET_CALLBACK;
	else if (pool && pool->refused)
		code = FEATHUB_PARQUET_MEMORY;
	fill(status, code, message.c_str());
	return false;
}

} /* namespace */

struct FeathubParquetReader
{
	explicit FeathubParquetReader(int64_t limit) : pool(limit) {}

	LimitedPool pool;			/* outlives all else */
	FeathubParquetSource source;
	std::shared_ptr<SourceFile> file;
	std::shared_ptr<parquet::FileMetaData> metadata;
	std::shared_ptr<arrow::Schema> schema;
	std::unique_ptr<parquet::arrow::SchemaManifest> manifest;
	std::vector<int> leaves;	/* selected, of parquet's schema */
	std::unique_ptr<parquet::arrow::FileReader> reader;
	std::unique_ptr<arrow::RecordBatchReader> batches;

	parquet::ReaderProperties
	properties()
	{
		parquet::ReaderProperties p(&pool);

		p.enable_buffered_stream();
		p.set_buffer_size(READ_BUFFER);
		p.set_page_checksum_verification(true);
		return p;
	}

	parquet::ArrowReaderProperties
	arrow_properties()
	{
		parquet::ArrowReaderProperties p(false);

		p.set_use_threads(false);
		p.set_pre_buffer(false);
		p.set_arrow_extensions_enabled(true);
		/* nanoseconds cover 1677 to 2262 only */
		p.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);
		return p;
	}
};

struct FeathubParquetWriter
{
	explicit FeathubParquetWriter(int64_t limit) : pool(limit) {}

	LimitedPool pool;
	std::shared_ptr<SinkFile> file;
	std::shared_ptr<arrow::Schema> schema;
	std::unique_ptr<parquet::arrow::FileWriter> writer;
};

namespace
{

void
collect_leaves(const parquet::arrow::SchemaField &field, std::vector<int> *leaves)
{
	if (field.is_leaf())
		leaves->push_back(field.column_index);
	for (const auto &child : field.children)
		collect_leaves(child, leaves);
}

/* Does every data page of the column have a dictionary? */
bool
all_dictionary(const parquet::FileMetaData &metadata, int leaf)
{
	for (int i = 0; i < metadata.num_row_groups(); i++)
	{
		auto		chunk = metadata.RowGroup(i)->ColumnChunk(leaf);
		bool		any = false;

		for (const auto &page : chunk->encoding_stats())
		{
			if (page.page_type != parquet::PageType::DATA_PAGE &&
				page.page_type != parquet::PageType::DATA_PAGE_V2)
				continue;
			if (page.encoding != parquet::Encoding::RLE_DICTIONARY &&
				page.encoding != parquet::Encoding::PLAIN_DICTIONARY)
				return false;
			any = true;
		}
		if (!any && chunk->num_values() > 0)
			return false;
	}
	return metadata.num_row_groups() > 0;
}

FeathubParquetReader *
reader_open(const FeathubParquetSource *source, int64_t memory_limit,
			FeathubParquetStatus *status)
{
	std::unique_ptr<FeathubParquetReader> r;

	if (!guarded(status, nullptr, nullptr, FEATHUB_PARQUET_FAILED, [&] {
			r = std::make_unique<FeathubParquetReader>(memory_limit);
			r->source = *source;
			r->file = std::make_shared<SourceFile>(&r->source, &r->pool);
			return Status::OK();
		}))
		return nullptr;
	if (!guarded(status, &r->pool, &r->file->failed, FEATHUB_PARQUET_DAMAGED, [&] {
			auto file = parquet::ParquetFileReader::Open(r->file, r->properties());

			r->metadata = file->metadata();
			r->manifest = std::make_unique<parquet::arrow::SchemaManifest>();
			auto props = r->arrow_properties();

			ARROW_RETURN_NOT_OK(parquet::arrow::SchemaManifest::Make(
				r->metadata->schema(), r->metadata->key_value_metadata(), props,
				r->manifest.get()));
			ARROW_RETURN_NOT_OK(parquet::arrow::FromParquetSchema(
				r->metadata->schema(), props, r->metadata->key_value_metadata(), &r->schema));
			if (r->schema->num_fields() != (int) r->manifest->schema_fields.size())
				return Status::Invalid("fields of the schema differ in number");
			for (int i = 0; i < r->metadata->num_row_groups(); i++)
			{
				if (r->metadata->RowGroup(i)->num_columns() != r->metadata->num_columns())
					return Status::Invalid("row group ", i, " has ",
										   r->metadata->RowGroup(i)->num_columns(),
										   " columns, the file ", r->metadata->num_columns());
			}
			return Status::OK();
		}))
	{
		/* the file may be freed while an exception's message is no longer needed */
		return nullptr;
	}
	return r.release();
}

void
reader_close(FeathubParquetReader *r)
{
	try
	{
		r->batches.reset();
		r->reader.reset();
		delete r;
	}
	catch (...)
	{
	}
}

int64_t
reader_count_rows(FeathubParquetReader *r)
{
	return r->metadata->num_rows();
}

int
reader_count_row_groups(FeathubParquetReader *r)
{
	return r->metadata->num_row_groups();
}

int64_t
reader_row_group_rows(FeathubParquetReader *r, int row_group)
{
	try
	{
		return r->metadata->RowGroup(row_group)->num_rows();
	}
	catch (...)
	{
		return 0;
	}
}

bool
reader_schema(FeathubParquetReader *r, struct ArrowSchema *schema, FeathubParquetStatus *status)
{
	return guarded(status, &r->pool, nullptr, FEATHUB_PARQUET_UNSUPPORTED,
				   [&] { return arrow::ExportSchema(*r->schema, schema); });
}

bool
reader_is_interval(FeathubParquetReader *r, int child)
{
	try
	{
		const auto &field = r->manifest->schema_fields.at(child);

		if (!field.is_leaf())
			return false;
		auto		column = r->metadata->schema()->Column(field.column_index);

		return column->converted_type() == parquet::ConvertedType::INTERVAL ||
			(column->logical_type() && column->logical_type()->is_interval());
	}
	catch (...)
	{
		return false;
	}
}

bool
reader_select(FeathubParquetReader *r, int n, const int *children, FeathubParquetStatus *status)
{
	return guarded(status, &r->pool, &r->file->failed, FEATHUB_PARQUET_DAMAGED, [&] {
		auto props = r->arrow_properties();
		parquet::arrow::FileReaderBuilder builder;

		r->batches.reset();
		r->leaves.clear();
		for (int i = 0; i < n; i++)
		{
			const auto &field = r->manifest->schema_fields.at(children[i]);

			collect_leaves(field, &r->leaves);
			if (field.is_leaf() &&
				r->metadata->schema()->Column(field.column_index)->physical_type() ==
				parquet::Type::BYTE_ARRAY &&
				(field.field->type()->id() == arrow::Type::STRING ||
				 field.field->type()->id() == arrow::Type::BINARY) &&
				all_dictionary(*r->metadata, field.column_index))
				props.set_read_dictionary(field.column_index, true);
		}
		ARROW_RETURN_NOT_OK(builder.Open(r->file, r->properties(), r->metadata));
		builder.memory_pool(&r->pool);
		builder.properties(props);
		return builder.Build(&r->reader);
	});
}

int64_t
reader_selected_bytes(FeathubParquetReader *r, int row_group)
{
	int64_t		sum = 0;

	try
	{
		auto		meta = r->metadata->RowGroup(row_group);

		for (int leaf : r->leaves)
		{
			int64_t		bytes = meta->ColumnChunk(leaf)->total_uncompressed_size();

			if (bytes > 0 && bytes < (INT64_C(1) << 50))
				sum += bytes;
		}
	}
	catch (...)
	{
	}
	return sum;
}

bool
reader_start(FeathubParquetReader *r, int row_group, int64_t batch_rows,
			 struct ArrowSchema *schema, FeathubParquetStatus *status)
{
	return guarded(status, &r->pool, &r->file->failed, FEATHUB_PARQUET_DAMAGED, [&] {
		r->batches.reset();
		r->reader->set_batch_size(batch_rows);
		ARROW_ASSIGN_OR_RAISE(r->batches, r->reader->GetRecordBatchReader({row_group}, r->leaves));
		return arrow::ExportSchema(*r->batches->schema(), schema);
	});
}

bool
reader_next(FeathubParquetReader *r, struct ArrowArray *array, FeathubParquetStatus *status)
{
	return guarded(status, &r->pool, &r->file->failed, FEATHUB_PARQUET_DAMAGED, [&] {
		std::shared_ptr<arrow::RecordBatch> batch;

		array->release = nullptr;
		ARROW_RETURN_NOT_OK(r->batches->ReadNext(&batch));
		if (batch == nullptr)
			return Status::OK();
		return arrow::ExportRecordBatch(*batch, array);
	});
}

bool
reader_statistics(FeathubParquetReader *r, int row_group, int child,
				  FeathubParquetStatistics *out, FeathubParquetStatus *status)
{
	memset(out, 0, sizeof(*out));
	out->null_count = -1;
	out->num_values = -1;
	return guarded(status, &r->pool, nullptr, FEATHUB_PARQUET_DAMAGED, [&] {
		const auto &field = r->manifest->schema_fields.at(child);
		std::shared_ptr<arrow::Scalar> least;
		std::shared_ptr<arrow::Scalar> greatest;

		if (!field.is_leaf())
			return Status::OK();
		auto		chunk = r->metadata->RowGroup(row_group)->ColumnChunk(field.column_index);

		out->num_values = chunk->num_values();
		if (!chunk->is_stats_set())
			return Status::OK();
		auto		statistics = chunk->statistics();

		if (!statistics)
			return Status::OK();
		if (statistics->HasNullCount())
			out->null_count = statistics->null_count();
		if (!statistics->HasMinMax() || statistics->physical_type() == parquet::Type::INT96)
			return Status::OK();
		/* what Arrow cannot turn into its own types has no bounds */
		if (!parquet::arrow::StatisticsAsScalars(*statistics, &least, &greatest).ok())
			return Status::OK();
		ARROW_ASSIGN_OR_RAISE(auto first, arrow::MakeArrayFromScalar(*least, 1, &r->pool));
		ARROW_ASSIGN_OR_RAISE(auto second, arrow::MakeArrayFromScalar(*greatest, 1, &r->pool));
		ARROW_ASSIGN_OR_RAISE(auto both, arrow::Concatenate({first, second}, &r->pool));
		ARROW_RETURN_NOT_OK(arrow::ExportArray(*both, &out->bounds, &out->schema));
		out->has_bounds = true;
		return Status::OK();
	});
}

arrow::Compression::type
compression_of(FeathubParquetCodec codec)
{
	switch (codec)
	{
		case FEATHUB_PARQUET_SNAPPY:
			return arrow::Compression::SNAPPY;
		case FEATHUB_PARQUET_GZIP:
			return arrow::Compression::GZIP;
		case FEATHUB_PARQUET_ZSTD:
			return arrow::Compression::ZSTD;
		case FEATHUB_PARQUET_LZ4:
			return arrow::Compression::LZ4;
		case FEATHUB_PARQUET_BROTLI:
			return arrow::Compression::BROTLI;
		default:
			return arrow::Compression::UNCOMPRESSED;
	}
}

FeathubParquetWriter *
writer_create(const FeathubParquetSink *sink, struct ArrowSchema *schema,
			  const FeathubParquetWriteOptions *options, int64_t memory_limit,
			  FeathubParquetStatus *status)
{
	std::unique_ptr<FeathubParquetWriter> w;

	if (!guarded(status, nullptr, nullptr, FEATHUB_PARQUET_FAILED, [&] {
			w = std::make_unique<FeathubParquetWriter>(memory_limit);
			w->file = std::make_shared<SinkFile>(*sink);
			return Status::OK();
		}))
		return nullptr;
	if (!guarded(status, &w->pool, &w->file->failed, FEATHUB_PARQUET_FAILED, [&] {
			parquet::WriterProperties::Builder builder;
			parquet::ArrowWriterProperties::Builder arrow_builder;

			ARROW_ASSIGN_OR_RAISE(w->schema, arrow::ImportSchema(schema));
			builder.memory_pool(&w->pool);
			builder.compression(compression_of(options->codec));
			if (options->level != 0)
				builder.compression_level(options->level);
			if (options->dictionary)
				builder.enable_dictionary();
			else
				builder.disable_dictionary();
			builder.max_row_group_length(options->row_group_rows);
			builder.data_pagesize(options->page_bytes);
			builder.created_by("feathub with parquet-cpp-arrow version " ARROW_VERSION_STRING);
			arrow_builder.set_use_threads(false);
			ARROW_ASSIGN_OR_RAISE(w->writer, parquet::arrow::FileWriter::Open(
				*w->schema, &w->pool, w->file, builder.build(), arrow_builder.build()));
			return Status::OK();
		}))
	{
		if (w->file)
			w->file->stopped = true;
		return nullptr;
	}
	return w.release();
}

bool
writer_write(FeathubParquetWriter *w, struct ArrowArray *array, FeathubParquetStatus *status)
{
	return guarded(status, &w->pool, &w->file->failed, FEATHUB_PARQUET_FAILED, [&] {
		ARROW_ASSIGN_OR_RAISE(auto batch, arrow::ImportRecordBatch(array, w->schema));
		return w->writer->WriteRecordBatch(*batch);
	});
}

bool
writer_new_row_group(FeathubParquetWriter *w, FeathubParquetStatus *status)
{
	return guarded(status, &w->pool, &w->file->failed, FEATHUB_PARQUET_FAILED,
				   [&] { return w->writer->NewBufferedRowGroup(); });
}

bool
writer_finish(FeathubParquetWriter *w, FeathubParquetStatus *status)
{
	return guarded(status, &w->pool, &w->file->failed, FEATHUB_PARQUET_FAILED,
				   [&] { return w->writer->Close(); });
}

void
writer_discard(FeathubParquetWriter *w)
{
	w->file->stopped = true;
	try
	{
		w->writer.reset();
	}
	catch (...)
	{
	}
	try
	{
		delete w;
	}
	catch (...)
	{
	}
}

const FeathubParquetApi api = {
	FEATHUB_PARQUET_VERSION,
	"Apache Arrow " ARROW_VERSION_STRING,
	reader_open,
	reader_close,
	reader_count_rows,
	reader_count_row_groups,
	reader_row_group_rows,
	reader_schema,
	reader_is_interval,
	reader_select,
	reader_selected_bytes,
	reader_start,
	reader_next,
	reader_statistics,
	writer_create,
	writer_write,
	writer_new_row_group,
	writer_finish,
	writer_discard,
};

} /* namespace */

EXPORTED const FeathubParquetApi *
feathub_parquet_api(void)
{
	return &api;
}
