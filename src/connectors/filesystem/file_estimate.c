/*
 * file_estimate.c
 *		How many rows files have, without reading them: for the planner, and a
 *		sample for ANALYZE.
 *
 * The planner counts the bytes of the files that constants in the query leave
 * (of very many files it looks at some and scales), and divides by the length
 * of a row, from ANALYZE, from the beginning of the first file or from the
 * footers of containers.  What was learnt of a file is kept as long as the file
 * is the same.
 */
#include "postgres.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_restrict.h"
#include "connectors/filesystem/file_row.h"

/* Files that planning looks at. */
#define MAX_FILES_SEEN	1000

/* Bytes of a file that tell the length of a row. */
#define SAMPLE_BYTES	(64 * 1024)

/* Text shrinks to about this share. */
#define COMPRESSION_RATIO	4.0

/* Files whose length of rows is kept, and containers that planning opens. */
#define MAX_CACHED		1000
#define MAX_FOOTERS		20

/* ANALYZE reads so many pieces of files, each of so many bytes. */
#define SAMPLE_PIECES	64
#define PIECE_BYTES		(256 * 1024)

typedef struct CacheKey
{
	dev_t		device;
	ino_t		inode;
	int64		size;
	int64		modified;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;
	double		rows;
} CacheEntry;

typedef struct FileSums
{
	double		files;
	double		bytes;			/* uncompressed, as far as known */
	double		rows;			/* of containers; -1: unknown */
} FileSums;

/* What ANALYZE collects. */
typedef struct Sample
{
	FeathubRelation *rel;
	HeapTuple  *rows;
	int			targrows;
	int			nrows;
	double		seen;
	MemoryContext context;
	MemoryContext row_context;
	Datum	   *values;
	bool	   *isnull;
} Sample;

static HTAB *cache = NULL;

static FileSums sum_files(FeathubRelation *rel, FilePlace *place, FileListHooks *hooks);
static double rows_of_file(FeathubRelation *rel, FilePlace *place, const char *name,
						   const struct stat *st);
static double count_text(FeathubRelation *rel, FilePlace *place, const char *name,
						 const struct stat *st);
static double count_container(FeathubRelation *rel, FilePlace *place, const char *name);
static void take_rows(Sample *sample, FileReader *reader, int64 limit);
static bool is_compressed(FeathubRelation *rel, const char *name);

/* FeathubConnector.estimate */
void
FeathubFileEstimate(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					FeathubEstimate *estimate)
{
	FilePlace  *place;
	FileSums	sums;
	List	   *params = NIL;
	List	   *others = NIL;
	List	   *plan;
	FileRestrict *restriction;
	int			nclauses;
	int			nbounds;
	double		row_cost;
	MemoryContext context;
	MemoryContext old;
	ListCell   *lc;

	/* what the clauses on constants leave of the files; the rest is a filter */
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub file estimate",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	place = FeathubFilePlaceOf(rel, false);
	foreach(lc, baserel->baserestrictinfo)
	{
		FeathubFileRestrictCounts(FeathubFileRestrictPlan(root, baserel, rel,
														  list_make1(lfirst(lc)), true, &params),
								  &nclauses, &nbounds);
		if (nclauses == 0)
			others = lappend(others, lfirst(lc));
	}
	plan = FeathubFileRestrictPlan(root, baserel, rel, baserel->baserestrictinfo, true, &params);
	restriction = FeathubFileRestrictBegin(rel, place, plan);
	FeathubFileRestrictEvaluate(restriction, 0, NULL, NULL);
	sums = sum_files(rel, place, &restriction->hooks);
	FreeExprContext(restriction->econtext, true);
	MemoryContextSwitchTo(old);

	if (sums.rows < 0)
		sums.rows = 0;
	baserel->tuples = clamp_row_est(sums.rows);
	estimate->rows = clamp_row_est(sums.rows *
								   clauselist_selectivity(root, others, 0, JOIN_INNER, NULL));
	estimate->width = baserel->reltarget->width;
	estimate->startup_cost = baserel->baserestrictcost.startup + sums.files * 2 * cpu_operator_cost;

	/* reading, and an operator or two for each field of each row */
	row_cost = cpu_tuple_cost + baserel->baserestrictcost.per_tuple +
		2 * cpu_operator_cost * Min(rel->tupdesc->natts, 50);
	estimate->total_cost = estimate->startup_cost +
		sums.bytes / BLCKSZ * seq_page_cost + sums.rows * row_cost;
	list_free(others);
	MemoryContextDelete(context);
}

/*
 * FeathubConnector.sample_rows
 *		Rows of pieces at random places of the files, or of all if they are small.
 */
int
FeathubFileSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
					  double *totalrows, double *totaldeadrows)
{
	FilePlace  *place = FeathubFilePlaceOf(rel, false);
	FileReader *reader = FeathubFileRowsBegin(rel, place, NULL);
	FileList   *list = FeathubFileListBegin(place, NULL);
	Sample		sample = {rel, rows, targrows};
	FileSums	sums;
	const char *name;
	double		estimated = 0;
	double		exact = 0;
	double		share;

	*totaldeadrows = 0;
	sample.context = CurrentMemoryContext;
	sample.row_context = AllocSetContextCreate(CurrentMemoryContext, "feathub file sample",
											   ALLOCSET_DEFAULT_SIZES);
	sample.values = palloc0(sizeof(Datum) * Max(rel->tupdesc->natts, 1));
	sample.isnull = palloc0(sizeof(bool) * Max(rel->tupdesc->natts, 1));
	sums = sum_files(rel, place, NULL);
	share = Min(1.0, (double) SAMPLE_PIECES * PIECE_BYTES / Max(sums.bytes, 1));

	while ((name = FeathubFileListNext(list)) != NULL)
	{
		double		before = sample.seen;
		double		size;
		int64		pieces;

		CHECK_FOR_INTERRUPTS();
		/* of very many small files some are enough */
		if (share < 1 && sums.files > SAMPLE_PIECES * 4 &&
			pg_prng_double(&pg_global_prng_state) > SAMPLE_PIECES * 4 / sums.files)
		{
			estimated += sums.rows / sums.files;
			continue;
		}
		FeathubFileRowsOpen(reader, name);
		size = reader->source->stat.st_size;
		pieces = (int64) ceil(size * share / PIECE_BYTES);
		if (reader->container)
		{
			int			nunits = FeathubFileRowsUnits(reader);
			int			read = 0;

			for (int unit = 0; unit < nunits; unit++)
			{
				if (share < 1 && unit + 1 < nunits &&
					pg_prng_double(&pg_global_prng_state) > share)
					continue;
				if (FeathubFileRowsStartUnit(reader, unit))
					take_rows(&sample, reader, share < 1 ? targrows : PG_INT64_MAX);
				read++;
			}
			exact = rel->format->container->count_rows(reader->container);
			estimated += exact >= 0 ? exact :
				(sample.seen - before) * nunits / Max(read, 1);
		}
		else if (!FeathubFileRowsIsSplittable(reader))
		{
			FeathubFileRowsStart(reader);
			take_rows(&sample, reader, share < 1 ? targrows : PG_INT64_MAX);
			estimated += reader->lines.eof && reader->lines.begin == reader->lines.end ?
				sample.seen - before :
				(sample.seen - before) * size / Max(reader->source->read, 1);
		}
		else if (share >= 1 || size <= 2 * PIECE_BYTES)
		{
			FeathubFileRowsStart(reader);
			take_rows(&sample, reader, PG_INT64_MAX);
			estimated += sample.seen - before;
		}
		else
		{
			int64		bytes = 0;

			for (int64 i = 0; i < pieces; i++)
			{
				int64		offset = (int64) (pg_prng_double(&pg_global_prng_state) *
											  (size - PIECE_BYTES));

				CHECK_FOR_INTERRUPTS();

				/*
				 * Whether it begins within quotes is not known.  Line feeds in
				 * fields are rare; what does not decode is left out.
				 */
				FeathubFileLinesLoad(&reader->lines, reader->source, offset, PIECE_BYTES);
				FeathubFileLinesRange(&reader->lines, false, false, 1);
				take_rows(&sample, reader, PG_INT64_MAX);
				bytes += PIECE_BYTES;
			}
			estimated += (sample.seen - before) * size / Max(bytes, 1);
		}
	}
	FeathubFileRowsClose(reader);
	FeathubFileListEnd(list);
	*totalrows = rint(estimated);
	return sample.nrows;
}

/* Sizes and rows of all files, from some of them if there are many. */
static FileSums
sum_files(FeathubRelation *rel, FilePlace *place, FileListHooks *hooks)
{
	FileList   *list = FeathubFileListBegin(place, hooks);
	FileSums	sums = {0};
	FileSums	seen = {0};
	const char *name;
	double		sampled_bytes = 0;
	double		sampled_rows = 0;
	int			nsampled = 0;

	while ((name = FeathubFileListNext(list)) != NULL)
	{
		struct stat st;
		const char *last;
		int			folder;
		int			status;
		double		bytes;

		CHECK_FOR_INTERRUPTS();
		sums.files++;
		if (seen.files >= MAX_FILES_SEEN)
			continue;
		folder = FeathubFileOpenParent(place, name, &last);
		if (folder < 0)
			continue;
		status = fstatat(folder, last, &st, place->confined ? AT_SYMLINK_NOFOLLOW : 0);
		close(folder);
		if (status != 0 || !S_ISREG(st.st_mode))
			continue;
		bytes = st.st_size * (is_compressed(rel, name) ? COMPRESSION_RATIO : 1);
		seen.files++;
		seen.bytes += bytes;
		if (nsampled < (rel->format->container ? MAX_FOOTERS : 3) && st.st_size > 0)
		{
			double		rows = rows_of_file(rel, place, name, &st);

			if (rows >= 0)
			{
				nsampled++;
				sampled_bytes += bytes;
				sampled_rows += rows;
			}
		}
	}
	FeathubFileListEnd(list);
	if (seen.files > 0)
	{
		sums.bytes = seen.bytes * sums.files / seen.files;
		if (sampled_bytes > 0)
			sums.rows = sums.bytes * sampled_rows / sampled_bytes;
		else
			sums.rows = sums.bytes / 100;
	}
	return sums;
}

/* What a file has, from memory or by a look at it; -1: unknown. */
static double
rows_of_file(FeathubRelation *rel, FilePlace *place, const char *name, const struct stat *st)
{
	CacheKey	key;
	CacheEntry *entry;
	double		rows;

	if (cache == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(CacheKey);
		control.entrysize = sizeof(CacheEntry);
		cache = hash_create("feathub file rows", 256, &control, HASH_ELEM | HASH_BLOBS);
	}
	memset(&key, 0, sizeof(key));
	key.device = st->st_dev;
	key.inode = st->st_ino;
	key.size = st->st_size;
	key.modified = (int64) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->rows;

	rows = rel->format->container ? count_container(rel, place, name) :
		count_text(rel, place, name, st);
	if (hash_get_num_entries(cache) >= MAX_CACHED)
	{
		hash_destroy(cache);
		cache = NULL;
		return rows;
	}
	entry = hash_search(cache, &key, HASH_ENTER, NULL);
	entry->rows = rows;
	return rows;
}

/* The rows of a text file, by its first bytes. */
static double
count_text(FeathubRelation *rel, FilePlace *place, const char *name, const struct stat *st)
{
	FileOptions *options = rel->options;
	FileSource *source = FeathubFileSourceOpen(place, name, options->compression);
	char	   *buffer = palloc(SAMPLE_BYTES);
	Size		len = 0;
	FileFraming framing;
	FileFrame	frame = {0};
	const char *p = buffer;
	const char *end;
	double		records = 0;
	double		rows;

	while (len < SAMPLE_BYTES)
	{
		Size		n = FeathubFileSourceRead(source, buffer + len, SAMPLE_BYTES - len);

		if (n == 0)
			break;
		len += n;
	}
	FeathubFileFramingOf(rel, &framing);
	while ((end = FeathubFrameEnd(&framing, &frame, p, buffer + len)) != NULL)
	{
		records++;
		p = end;
		memset(&frame, 0, sizeof(frame));
	}
	if (source->eof)
		rows = records + (p < buffer + len) - (options->header != FILE_HEADER_NONE);
	else
		rows = st->st_size * (source->compression != FILE_COMPRESSION_NONE ? COMPRESSION_RATIO : 1) /
			Max((p - buffer) / Max(records, 1), 1);
	FeathubFileSourceClose(source);
	pfree(buffer);
	return Max(rows, 0);
}

static double
count_container(FeathubRelation *rel, FilePlace *place, const char *name)
{
	Bitmapset  *none = bms_make_singleton(0);
	FileReader *reader = FeathubFileRowsBegin(rel, place, none);
	double		rows;

	FeathubFileRowsOpen(reader, name);
	rows = rel->format->container->count_rows(reader->container);
	FeathubFileRowsClose(reader);
	return rows;
}

/* Rows of what the reader has begun, into the sample. */
static void
take_rows(Sample *sample, FileReader *reader, int64 limit)
{
	int			natts = sample->rel->tupdesc->natts;

	/* bad records are left out without words */
	reader->quiet = true;
	for (int64 i = 0; i < limit; i++)
	{
		HeapTuple	tuple;
		int			place;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(sample->row_context);
		MemoryContextSwitchTo(sample->row_context);
		memset(sample->isnull, true, sizeof(bool) * natts);
		if (!FeathubFileRowsNext(reader, sample->values, sample->isnull))
			break;
		sample->seen++;
		place = sample->nrows;
		if (sample->nrows == sample->targrows)
		{
			/* reservoir: replace one with the probability targrows / seen */
			place = (int) (pg_prng_double(&pg_global_prng_state) * sample->seen);
			if (place >= sample->targrows)
				continue;
		}
		MemoryContextSwitchTo(sample->context);
		tuple = heap_form_tuple(sample->rel->tupdesc, sample->values, sample->isnull);
		if (place == sample->nrows)
			sample->nrows++;
		else
			heap_freetuple(sample->rows[place]);
		sample->rows[place] = tuple;
	}
	MemoryContextSwitchTo(sample->context);
	reader->quiet = false;
}

static bool
is_compressed(FeathubRelation *rel, const char *name)
{
	FileOptions *options = rel->options;

	if (rel->format->container)
		return false;
	if (options->compression != FILE_COMPRESSION_AUTO)
		return options->compression != FILE_COMPRESSION_NONE;
	return FeathubFileCompressionOf(name) != FILE_COMPRESSION_NONE;
}
