/*
 * training_catalog.c
 *		The metadata of training data: statements on its tables.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/training_catalog.h"

static Datum copy_value(HeapTuple tuple, TupleDesc desc, int column, MemoryContext context);
static void check_readable(Oid relid, const char *feature);
static double get_number(HeapTuple tuple, TupleDesc desc, int column);

FeathubTrainingData *
FeathubTrainingDataLoad(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "SELECT feature_view::oid, definition, query, arguments, splits, row_count, content_hash, snapshot_at "
		"FROM feathub.training_data WHERE training_data = $1",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	FeathubTrainingData *data = NULL;
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, values, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;
		Datum		view = SPI_getbinval(tuple, desc, 1, &isnull);

		data = (FeathubTrainingData *) palloc0(sizeof(FeathubTrainingData));
		data->relid = relid;
		data->view = isnull ? InvalidOid : DatumGetObjectId(view);
		data->definition = TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
		data->query = TextDatumGetCString(SPI_getbinval(tuple, desc, 3, &isnull));
		data->arguments = copy_value(tuple, desc, 4, caller);
		data->splits = copy_value(tuple, desc, 5, caller);
		data->row_count = DatumGetInt64(SPI_getbinval(tuple, desc, 6, &isnull));
		data->content_hash = TextDatumGetCString(SPI_getbinval(tuple, desc, 7, &isnull));
		data->snapshot_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 8, &isnull));
		MemoryContextSwitchTo(old);
	}
	FeathubCatalogLeave(&scope);
	return data;
}

/* A value of variable length, detoasted, in a context. */
static Datum
copy_value(HeapTuple tuple, TupleDesc desc, int column, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	if (!isnull)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	MemoryContextSwitchTo(old);
	return isnull ? (Datum) 0 : value;
}

void
FeathubTrainingDataInsert(const FeathubTrainingData *data)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.training_data (training_data, feature_view, definition, query, arguments, "
		"splits, row_count, content_hash, snapshot_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		.nargs = 9,
		.argtypes = {REGCLASSOID, REGCLASSOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, INT8OID, TEXTOID, TIMESTAMPTZOID}
	};
	FeathubRoleScope scope;
	Datum		values[9];

	if (!object_ownercheck(RelationRelationId, data->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(data->relid));
	values[0] = ObjectIdGetDatum(data->relid);
	values[1] = ObjectIdGetDatum(data->view);
	values[2] = CStringGetTextDatum(data->definition);
	values[3] = CStringGetTextDatum(data->query);
	values[4] = data->arguments;
	values[5] = data->splits;
	values[6] = Int64GetDatum(data->row_count);
	values[7] = CStringGetTextDatum(data->content_hash);
	values[8] = TimestampTzGetDatum(data->snapshot_at);

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

void
FeathubTrainingStatisticInsert(Oid relid, const char *feature, Datum *values, const char *nulls)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.training_statistic (training_data, feature, split, row_count, nulls, distinct_values, "
		"min, max, mean, stddev, quantiles, top_values, categories) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		.nargs = 13,
		.argtypes = {REGCLASSOID, NAMEOID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID,
		FLOAT8OID, FLOAT8OID, FLOAT8ARRAYOID, JSONBOID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		all[FEATHUB_STATISTIC_VALUES + 2];
	char		all_nulls[FEATHUB_STATISTIC_VALUES + 2];

	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	all[0] = ObjectIdGetDatum(relid);
	all[1] = DirectFunctionCall1(namein, CStringGetDatum(feature));
	all_nulls[0] = all_nulls[1] = ' ';
	memcpy(&all[2], values, sizeof(Datum) * FEATHUB_STATISTIC_VALUES);
	memcpy(&all_nulls[2], nulls, FEATHUB_STATISTIC_VALUES);

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, all, all_nulls);
	FeathubCatalogLeave(&scope);
}

void
FeathubTrainingDataCheck(void)
{
	static FeathubStatement statistics = {
		.sql = "DELETE FROM feathub.training_statistic AS s "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = s.training_data)"
	};
	static FeathubStatement data = {
		.sql = "DELETE FROM feathub.training_data AS d "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = d.training_data) "
		"RETURNING d.training_data::oid::text"
	};
	static FeathubStatement views = {
		.sql = "UPDATE feathub.training_data AS d SET feature_view = NULL "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = d.feature_view) AND d.feature_view IS NOT NULL"
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statistics, NULL, NULL);
	(void) FeathubCatalogExecute(&data, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		ereport(LOG,
				(errmsg("removed training data \"%s\" whose table does not exist any more",
						SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1))));
	(void) FeathubCatalogExecute(&views, NULL, NULL);
	FeathubCatalogLeave(&scope);
}

void
FeathubTrainingRenameFeature(Oid relid, const char *from, const char *to)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.training_statistic SET feature = $3::name WHERE training_data = $1 AND feature = $2::name",
		.nargs = 3, .argtypes = {REGCLASSOID, TEXTOID, TEXTOID}
	};
	FeathubRoleScope scope;
	Datum		values[3] = {ObjectIdGetDatum(relid), CStringGetTextDatum(from), CStringGetTextDatum(to)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

void
FeathubTrainingStatisticLoad(Oid relid, const char *feature, const char *split,
							 FeathubTrainingStatistic *statistic)
{
	static FeathubStatement statement = {
		.sql = "SELECT CASE WHEN mean IS NOT NULL THEN min::float8 END, CASE WHEN mean IS NOT NULL THEN max::float8 END, "
		"mean, stddev, quantiles, categories FROM feathub.training_statistic "
		"WHERE training_data = $1 AND feature = $2 AND CASE WHEN $3 IS NULL THEN split IS NULL OR split = 'train' ELSE split = $3 END "
		"ORDER BY split NULLS LAST LIMIT 1",
		.nargs = 3, .argtypes = {REGCLASSOID, NAMEOID, TEXTOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		values[3];
	Datum		quantiles;
	bool		isnull;

	check_readable(relid, feature);
	values[0] = ObjectIdGetDatum(relid);
	values[1] = DirectFunctionCall1(namein, CStringGetDatum(feature));
	values[2] = split ? CStringGetTextDatum(split) : (Datum) 0;
	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, values, split ? "   " : "  n") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there are no statistics of column \"%s\" of \"%s\"", feature, get_rel_name(relid)),
				 split ? errdetail("They are asked for split \"%s\".", split) : 0,
				 errhint("They are made by create_training_data, of each feature and split.")));
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	statistic->min = get_number(tuple, desc, 1);
	statistic->max = get_number(tuple, desc, 2);
	statistic->mean = get_number(tuple, desc, 3);
	statistic->stddev = get_number(tuple, desc, 4);
	quantiles = SPI_getbinval(tuple, desc, 5, &isnull);
	for (int i = 0; i < lengthof(statistic->quantiles); i++)
		statistic->quantiles[i] = NAN;
	if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(quantiles);

		if (ARR_NDIM(array) == 1 && ARR_DIMS(array)[0] == lengthof(statistic->quantiles) && !ARR_HASNULL(array))
			memcpy(statistic->quantiles, ARR_DATA_PTR(array), sizeof(statistic->quantiles));
	}
	statistic->categories = copy_value(tuple, desc, 6, caller);
	FeathubCatalogLeave(&scope);
}

/* Statistics tell of a column's values: who may read it, may know them. */
static void
check_readable(Oid relid, const char *feature)
{
	char	   *name = get_rel_name(relid);
	AttrNumber	attnum = name ? get_attnum(relid, feature) : InvalidAttrNumber;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		(attnum > 0 && pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK))
		return;
	aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, name);
}

static double
get_number(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}
