/*
 * training_data.c
 *		SQL functions on training data: create, make again, verify, export, drop.
 *
 * Training data is an ordinary table of the caller's, made by the caller's own
 * commands in one transaction, so that a failure or a cancel leaves nothing
 * behind.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/training_catalog.h"
#include "features/feature_group.h"
#include "features/feature_view.h"
#include "features/parse_fragment.h"
#include "features/training_progress.h"
#include "features/training_query.h"
#include "features/training_statistics.h"
#include "features/training_writer.h"

/* Files to write the data to. */
typedef struct TrainingFiles
{
	char	   *server;
	char	   *path;
	char	   *format;
} TrainingFiles;

static void read_request(FunctionCallInfo fcinfo, FeathubTrainingRequest *request);
static char *place_table(const char *name);
static Oid	make_table(const char *table, const char *sql);
static double estimate_rows(const char *sql);
static Datum make_arguments(FunctionCallInfo fcinfo, const FeathubTrainingRequest *request);
static void add_argument(JsonbParseState **state, const char *name, Oid type, Datum value, bool isnull);
static char *view_definition(Oid relid);
static FeathubTrainingData *load_data(Oid relid);
static void fill_table(FeathubTrainingData *data, const char *table, bool statistics, Oid foreign_table,
					   const TrainingFiles *files);
static TrainingFiles *read_files(FunctionCallInfo fcinfo);
static Oid	make_files(Oid relid, const TrainingFiles *files);
static int64 export_data(Oid relid, Oid foreign_table, const char *split);

PG_FUNCTION_INFO_V1(feathub_create_training_data);
PG_FUNCTION_INFO_V1(feathub_recreate_training_data);
PG_FUNCTION_INFO_V1(feathub_verify_training_data);
PG_FUNCTION_INFO_V1(feathub_drop_training_data);
PG_FUNCTION_INFO_V1(feathub_export_training_data);

/*
 * feathub.create_training_data(feature_view, name, splits, seed, split_by,
 *		start_time, end_time, filter, spine, as_of, statistics, foreign_table,
 *		server, path, format)
 */
Datum
feathub_create_training_data(PG_FUNCTION_ARGS)
{
	FeathubTrainingRequest request = {0};
	FeathubTrainingData data = {0};
	char	   *table;

	FeathubExtensionRequire();
	read_request(fcinfo, &request);
	(void) read_files(fcinfo);
	table = place_table(FeathubGroupReadText(fcinfo, 1, "name"));
	data.view = request.view->relid;
	data.definition = view_definition(data.view);
	data.query = FeathubTrainingQuery(&request);
	data.arguments = make_arguments(fcinfo, &request);
	data.snapshot_at = IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp() :
		GetCurrentStatementStartTimestamp();

	data.relid = make_table(table, data.query);
	FeathubTrainingProgressBegin(data.relid, estimate_rows(data.query));
	PG_TRY();
	{
		fill_table(&data, table, !PG_ARGISNULL(10) && PG_GETARG_BOOL(10),
				   PG_ARGISNULL(11) ? InvalidOid : PG_GETARG_OID(11), read_files(fcinfo));
	}
	PG_FINALLY();
	{
		FeathubTrainingProgressEnd();
	}
	PG_END_TRY();
	PG_RETURN_OID(data.relid);
}

/* What follows once the table is there; all of it, or an error. */
static void
fill_table(FeathubTrainingData *data, const char *table, bool statistics, Oid foreign_table,
		   const TrainingFiles *files)
{
	int			nestlevel = FeathubTextBegin();	/* splits are of the text of keys */

	data->row_count = FeathubTrainingWrite(data->relid, data->query);
	AtEOXact_GUC(false, nestlevel);
	FeathubTrainingProgressPhase(FEATHUB_TRAINING_HASHING);
	FeathubGroupRunCommand(psprintf("ANALYZE %s", table));
	data->content_hash = FeathubTrainingHash(data->relid);
	data->splits = FeathubTrainingCounts(data->relid);
	FeathubTrainingDataInsert(data);
	if (statistics)
		FeathubTrainingStatistics(data->relid);
	FeathubTrainingProgressPhase(FEATHUB_TRAINING_EXPORTING);
	if (OidIsValid(foreign_table))
		(void) export_data(data->relid, foreign_table, NULL);
	if (files != NULL)
		(void) export_data(data->relid, make_files(data->relid, files), NULL);
}

static void
read_request(FunctionCallInfo fcinfo, FeathubTrainingRequest *request)
{
	request->view = FeathubViewFind(FeathubGroupReadText(fcinfo, 0, "feature_view"), false);
	LockRelationOid(request->view->relid, AccessShareLock);
	/* somebody else may have dropped it while we waited */
	request->view = FeathubViewFind(FeathubGroupReadText(fcinfo, 0, "feature_view"), false);
	if (!PG_ARGISNULL(2))
		request->splits = PG_GETARG_DATUM(2);
	request->seed = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	if (!PG_ARGISNULL(4))
	{
		Datum	   *names;
		bool	   *nulls;
		int			count;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), TEXTOID, -1, false, TYPALIGN_INT,
						  &names, &nulls, &count);
		for (int i = 0; i < count; i++)
		{
			if (nulls[i])
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("a column name in split_by must not be null")));
			request->split_by = lappend(request->split_by, TextDatumGetCString(names[i]));
		}
	}
	request->has_start = !PG_ARGISNULL(5);
	if (request->has_start)
		request->start_time = PG_GETARG_TIMESTAMPTZ(5);
	request->has_end = !PG_ARGISNULL(6);
	if (request->has_end)
		request->end_time = PG_GETARG_TIMESTAMPTZ(6);
	if (request->has_start && request->has_end && request->start_time >= request->end_time)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_time must be before end_time")));
	if (!PG_ARGISNULL(7))
		request->filter = text_to_cstring(PG_GETARG_TEXT_PP(7));
	if (!PG_ARGISNULL(8))
		request->spine = text_to_cstring(PG_GETARG_TEXT_PP(8));
	request->has_as_of = !PG_ARGISNULL(9);
	if (request->has_as_of)
		request->as_of = PG_GETARG_TIMESTAMPTZ(9);
}

/* The table's name in full; it must be free. */
static char *
place_table(const char *name)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			namespace = RangeVarGetCreationNamespace(range);

	if (isTempOrTempToastNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("training data cannot be a temporary table")));
	if (OidIsValid(get_relname_relid(range->relname, namespace)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", range->relname)));
	return pstrdup(quote_qualified_identifier(get_namespace_name(namespace), range->relname));
}

/* An empty table with the query's columns. */
static Oid
make_table(const char *table, const char *sql)
{
	FeathubGroupRunCommand(psprintf("CREATE TABLE %s AS %s WITH NO DATA", table, sql));
	return RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(table))),
							NoLock, false);
}

/* What the planner expects of the query. */
static double
estimate_rows(const char *sql)
{
	SPIPlanPtr	plan;
	double		rows = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(sql, 0, NULL);
	if (plan != NULL)
	{
		Portal		portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
		ListCell   *lc;

		foreach(lc, portal->stmts)
			rows += lfirst_node(PlannedStmt, lc)->planTree->plan_rows;
		SPI_cursor_close(portal);
	}
	SPI_finish();
	return rows;
}

/* What is needed to make it again, as jsonb. */
static Datum
make_arguments(FunctionCallInfo fcinfo, const FeathubTrainingRequest *request)
{
	static const struct
	{
		int			arg;
		const char *name;
		Oid			type;
	}			rows[] = {
		{2, "splits", JSONBOID},
		{3, "seed", INT8OID},
		{4, "split_by", TEXTARRAYOID},
		{5, "start_time", TIMESTAMPTZOID},
		{6, "end_time", TIMESTAMPTZOID},
		{7, "filter", TEXTOID},
		{8, "spine", TEXTOID},
		{9, "as_of", TIMESTAMPTZOID},
		{10, "statistics", BOOLOID},
	};
	JsonbParseState *state = NULL;
	char	   *search_path = pstrdup(GetConfigOption("search_path", false, false));
	char	   *datestyle = pstrdup(GetConfigOption("DateStyle", false, false));
	char	   *intervalstyle = pstrdup(GetConfigOption("IntervalStyle", false, false));
	int			nestlevel = FeathubTextBegin();

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	add_argument(&state, "feature_view", TEXTOID,
				 CStringGetTextDatum(FeathubQualifiedName(request->view->relid)), false);
	for (int i = 0; i < lengthof(rows); i++)
		add_argument(&state, rows[i].name, rows[i].type, PG_GETARG_DATUM(rows[i].arg),
					 PG_ARGISNULL(rows[i].arg));
	/* what filter and spine mean depends on these */
	add_argument(&state, "search_path", TEXTOID, CStringGetTextDatum(search_path), false);
	add_argument(&state, "timezone", TEXTOID,
				 CStringGetTextDatum(GetConfigOption("TimeZone", false, false)), false);
	add_argument(&state, "datestyle", TEXTOID, CStringGetTextDatum(datestyle), false);
	add_argument(&state, "intervalstyle", TEXTOID, CStringGetTextDatum(intervalstyle), false);
	AtEOXact_GUC(false, nestlevel);
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

static void
add_argument(JsonbParseState **state, const char *name, Oid type, Datum value, bool isnull)
{
	JsonbValue	key = {.type = jbvString};
	JsonbValue	json = {.type = jbvString};
	Oid			output;
	bool		isvarlena;

	key.val.string.val = pstrdup(name);
	key.val.string.len = strlen(name);
	if (isnull)
		json.type = jbvNull;
	else
	{
		getTypeOutputInfo(type, &output, &isvarlena);
		json.val.string.val = OidOutputFunctionCall(output, value);
		json.val.string.len = strlen(json.val.string.val);
	}
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, &json);
}

/* What the view is, whatever the session's settings. */
static char *
view_definition(Oid relid)
{
	int			nestlevel = FeathubDeparseBegin();
	char	   *definition = TextDatumGetCString(DirectFunctionCall1(pg_get_viewdef, ObjectIdGetDatum(relid)));

	AtEOXact_GUC(false, nestlevel);
	return definition;
}

/* The training data that the table is. */
static FeathubTrainingData *
load_data(Oid relid)
{
	FeathubTrainingData *data = FeathubTrainingDataLoad(relid);

	if (data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" is no training data", get_rel_name(relid) ? get_rel_name(relid) : "?")));
	return data;
}

/*
 * What its owner has put into the query would run with the caller's rights, who
 * has not read it perhaps, so the caller must be that very role.
 */
static void
check_arguments(const FeathubTrainingData *data)
{
	static const char *const names[] = {"filter", "spine"};
	Relation	rel = table_open(data->relid, AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	table_close(rel, NoLock);
	for (int i = 0; i < lengthof(names); i++)
	{
		JsonbValue	value;

		if (getKeyJsonValueFromContainer(&DatumGetJsonbP(data->arguments)->root, names[i],
										 strlen(names[i]), &value) == NULL ||
			value.type == jbvNull || owner == GetUserId())
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of training data \"%s\"", get_rel_name(data->relid)),
				 errdetail("It was made with a %s, which would run with your rights.", names[i]),
				 errhint("Look at the arguments in feathub.training_data, and call feathub.create_training_data with them.")));
	}
}

/* feathub.recreate_training_data(training_data, name) */
Datum
feathub_recreate_training_data(PG_FUNCTION_ARGS)
{
	FeathubTrainingData *old;
	FeathubTrainingData *new;
	Datum		values[2];
	Oid			types[2] = {JSONBOID, TEXTOID};
	bool		isnull;
	Oid			relid;
	int			nestlevel;

	FeathubExtensionRequire();
	old = load_data(PG_GETARG_OID(0));
	if (!OidIsValid(old->view))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the feature view of training data \"%s\" does not exist any more", get_rel_name(old->relid)),
				 errdetail("Its definition is kept in feathub.training_data.")));
	check_arguments(old);
	values[0] = old->arguments;
	values[1] = CStringGetTextDatum(place_table(text_to_cstring(PG_GETARG_TEXT_PP(1))));

	nestlevel = NewGUCNestLevel();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT pg_catalog.set_config('search_path', $1 ->> 'search_path', true), "
							  "pg_catalog.set_config('timezone', $1 ->> 'timezone', true), "
							  "pg_catalog.set_config('datestyle', $1 ->> 'datestyle', true), "
							  "pg_catalog.set_config('intervalstyle', $1 ->> 'intervalstyle', true)",
							  1, types, values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_execute_with_args("SELECT feathub.create_training_data($3, $2, ($1 ->> 'splits')::pg_catalog.jsonb, "
							  "($1 ->> 'seed')::pg_catalog.int8, ($1 ->> 'split_by')::pg_catalog.text[], "
							  "($1 ->> 'start_time')::pg_catalog.timestamptz, ($1 ->> 'end_time')::pg_catalog.timestamptz, "
							  "$1 ->> 'filter', $1 ->> 'spine', ($1 ->> 'as_of')::pg_catalog.timestamptz, "
							  "($1 ->> 'statistics')::pg_catalog.bool)",
							  3, (Oid[]) {JSONBOID, TEXTOID, TEXTOID},
							  (Datum[]) {values[0], values[1], CStringGetTextDatum(FeathubQualifiedName(old->view))},
							  NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not make training data again");
	relid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	AtEOXact_GUC(false, nestlevel);

	new = load_data(relid);
	if (strcmp(new->content_hash, old->content_hash) == 0 && new->row_count == old->row_count)
		ereport(NOTICE, (errmsg("training data \"%s\" has the same rows", get_rel_name(relid))));
	else
		ereport(NOTICE,
				(errmsg("training data \"%s\" has other rows: " INT64_FORMAT ", not " INT64_FORMAT,
						get_rel_name(relid), new->row_count, old->row_count),
				 strcmp(new->definition, old->definition) != 0 ?
				 errdetail("The feature view has been changed since.") : 0));
	PG_RETURN_OID(relid);
}

/* feathub.verify_training_data(training_data) */
Datum
feathub_verify_training_data(PG_FUNCTION_ARGS)
{
	FeathubTrainingData *data;

	FeathubExtensionRequire();
	data = load_data(PG_GETARG_OID(0));
	PG_RETURN_BOOL(strcmp(FeathubTrainingHash(data->relid), data->content_hash) == 0);
}

/* feathub.drop_training_data(training_data, if_exists) */
Datum
feathub_drop_training_data(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid;

	FeathubExtensionRequire();
	relid = RangeVarGetRelid(range, NoLock, true);
	if (!OidIsValid(relid) && PG_GETARG_BOOL(1))
	{
		ereport(NOTICE,
				(errmsg("training data \"%s\" does not exist, skipping", name)));
		PG_RETURN_BOOL(false);
	}
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("training data \"%s\" does not exist", name)));
	(void) load_data(relid);
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	FeathubGroupRunCommand(psprintf("DROP TABLE %s", FeathubQualifiedName(relid)));
	PG_RETURN_BOOL(true);
}

/* feathub.export_training_data(training_data, foreign_table, split) */
Datum
feathub_export_training_data(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"training_data", "foreign_table"};

	FeathubExtensionRequire();
	for (int i = 0; i < lengthof(names); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	PG_RETURN_INT64(export_data(load_data(PG_GETARG_OID(0))->relid, PG_GETARG_OID(1),
								PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

/* The arguments server, path and format, of which there are all or none. */
static TrainingFiles *
read_files(FunctionCallInfo fcinfo)
{
	TrainingFiles *files = (TrainingFiles *) palloc(sizeof(TrainingFiles));

	if (PG_ARGISNULL(12) && PG_ARGISNULL(13) && PG_ARGISNULL(14))
		return NULL;
	files->server = FeathubGroupReadText(fcinfo, 12, "server");
	files->path = FeathubGroupReadText(fcinfo, 13, "path");
	files->format = FeathubGroupReadText(fcinfo, 14, "format");
	return files;
}

/*
 * A foreign table <name>_files for training data, which stays: a folder for
 * each split.
 */
static Oid
make_files(Oid relid, const TrainingFiles *files)
{
	char	   *name = psprintf("%s_files", get_rel_name(relid));
	char	   *nspname = get_namespace_name(get_rel_namespace(relid));
	Relation	rel = table_open(relid, AccessShareLock);
	StringInfoData sql;

	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of training data \"%s\" is too long", get_rel_name(relid)),
				 errdetail("With \"%s\" it must be less than %d bytes.", "_files", NAMEDATALEN)));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_qualified_identifier(nspname, name));
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), i);

		appendStringInfo(&sql, "%s%s %s%s", i > 0 ? ", " : "", quote_identifier(NameStr(attr->attname)),
						 format_type_extended(attr->atttypid, attr->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY),
						 strcmp(NameStr(attr->attname), FEATHUB_SPLIT_COLUMN) == 0 ? " OPTIONS (partition 'true')" : "");
	}
	appendStringInfo(&sql, ") SERVER %s OPTIONS (path %s, format %s%s)", quote_identifier(files->server),
					 quote_literal_cstr(files->path), quote_literal_cstr(files->format),
					 strcmp(files->format, "csv") == 0 ? ", header 'true'" : "");
	table_close(rel, NoLock);
	FeathubGroupRunCommand(sql.data);
	return get_relname_relid(name, get_rel_namespace(relid));
}

/* INSERT INTO the foreign table, columns by name, what it lacks left out. */
static int64
export_data(Oid relid, Oid foreign_table, const char *split)
{
	StringInfoData columns;
	StringInfoData sql;
	Relation	rel;
	int64		rows;

	if (get_rel_relkind(foreign_table) != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table", get_rel_name(foreign_table) ? get_rel_name(foreign_table) : "?"),
				 errhint("Use INSERT or COPY for others.")));
	initStringInfo(&columns);
	rel = table_open(foreign_table, AccessShareLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), i);
		const char *name = NameStr(attr->attname);

		if (attr->attisdropped || attr->attgenerated != '\0')
			continue;
		if (get_attnum(relid, name) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of foreign table \"%s\" is not in training data \"%s\"",
							name, get_rel_name(foreign_table), get_rel_name(relid))));
		appendStringInfo(&columns, "%s%s", columns.len ? ", " : "", quote_identifier(name));
	}
	table_close(rel, NoLock);
	if (columns.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("foreign table \"%s\" has no columns", get_rel_name(foreign_table))));

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%s) SELECT %s FROM %s", FeathubQualifiedName(foreign_table),
					 columns.data, columns.data, FeathubQualifiedName(relid));
	if (split != NULL)
		appendStringInfo(&sql, " WHERE %s OPERATOR(pg_catalog.=) %s", FEATHUB_SPLIT_COLUMN,
						 quote_literal_cstr(split));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql.data, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not export training data");
	rows = (int64) SPI_processed;
	SPI_finish();
	return rows;
}
