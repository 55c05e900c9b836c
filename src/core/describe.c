/*
 * describe.c
 *		The columns of tables and of a job's query, and whether they fit.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/role.h"

static Query *analyze_query(const char *query, TupleDesc batch);
static void query_error_context(void *arg);

TupleDesc
FeathubQueryDescribe(const char *query, TupleDesc batch, Oid role)
{
	Query	   *analyzed;
	TupleDesc	desc;
	FeathubRoleScope scope;
	ErrorContextCallback context = {.callback = query_error_context, .arg = unconstify(char *, query)};

	context.previous = error_context_stack;
	error_context_stack = &context;
	FeathubRoleEnterJob(&scope, role);
	PushActiveSnapshot(GetTransactionSnapshot());
	analyzed = analyze_query(query, batch);
	desc = ExecCleanTypeFromTL(analyzed->targetList);
	PopActiveSnapshot();
	FeathubRoleLeave(&scope);
	error_context_stack = context.previous;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (get_typtype(att->atttypid) == TYPTYPE_PSEUDO)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" of the query has pseudo-type %s",
							NameStr(att->attname), format_type_be(att->atttypid))));
		for (int j = 0; j < i; j++)
			if (strcmp(NameStr(att->attname), NameStr(TupleDescAttr(desc, j)->attname)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("the query returns column \"%s\" twice",
								NameStr(att->attname))));
	}
	return desc;
}

void
FeathubQueryErrorPosition(const char *query)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(query);
	}
}

static void
query_error_context(void *arg)
{
	FeathubQueryErrorPosition(arg);
	errcontext("query of a job, which runs with an empty search_path");
}

/* The query's analysed form; it is a plain SELECT. */
static Query *
analyze_query(const char *query, TupleDesc batch)
{
	QueryEnvironment *env = create_queryEnv();
	EphemeralNamedRelation enr = (EphemeralNamedRelation) palloc0(sizeof(EphemeralNamedRelationData));
	List	   *statements = pg_parse_query(query);
	Query	   *analyzed;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job must be one statement")));
	if (!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job must be a SELECT"),
				 errhint("It reads the records of each batch from the relation \"%s\".",
						 FEATHUB_BATCH_NAME)));

	enr->md.name = FEATHUB_BATCH_NAME;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = batch;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1000;
	register_ENR(env, enr);

	analyzed = parse_analyze_fixedparams(linitial_node(RawStmt, statements), query,
										 NULL, 0, env);
	if (analyzed->commandType != CMD_SELECT || analyzed->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job must not write"),
				 errdetail("What it returns is written to the job's sink.")));
	if (analyzed->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job must not lock rows")));
	return analyzed;
}

TupleDesc
FeathubSourceDescribe(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	from = RelationGetDescr(rel);
	bool		foreign = rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE;
	TupleDesc	desc;
	int			natts = 0;

	for (int pass = 0; pass < 2; pass++)
	{
		if (pass == 1)
			desc = CreateTemplateTupleDesc(natts);
		natts = 0;
		for (int i = 0; i < from->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(from, i);

			if (att->attisdropped || (foreign && att->attgenerated))
				continue;
			natts++;
			if (pass == 0)
				continue;
			TupleDescInitEntry(desc, natts, NameStr(att->attname),
							   att->atttypid, att->atttypmod, att->attndims);
			TupleDescInitEntryCollation(desc, natts, att->attcollation);
		}
	}
	relation_close(rel, NoLock);
	return desc;
}

Form_pg_attribute
FeathubDescribeColumn(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	return NULL;
}

bool
FeathubColumnIsGenerated(Form_pg_attribute att)
{
	return att->attgenerated || att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
}

void
FeathubCheckColumnsFit(TupleDesc input, Oid relid, List *exact)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ListCell   *lc;

	if (input->natts == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("nothing would be written to table \"%s\"", RelationGetRelationName(rel)),
				 errdetail("The source or query has none of its columns.")));
	foreach(lc, exact)
	{
		const char *name = (const char *) lfirst(lc);

		if (FeathubDescribeColumn(input, name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" is missing", name),
					 errdetail("It is part of the key of \"%s\".",
							   RelationGetRelationName(rel))));
	}

	for (int i = 0; i < input->natts; i++)
	{
		Form_pg_attribute from = TupleDescAttr(input, i);
		Form_pg_attribute to = FeathubDescribeColumn(desc, NameStr(from->attname));
		bool		same = false;

		foreach(lc, exact)
			same |= strcmp((const char *) lfirst(lc), NameStr(from->attname)) == 0;

		if (to == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the source is not in table \"%s\"",
							NameStr(from->attname), RelationGetRelationName(rel)),
					 errhint("Add the column to the table, or choose columns with a query.")));
		if (FeathubColumnIsGenerated(to))
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"%s\" of table \"%s\" is a generated column",
							NameStr(to->attname), RelationGetRelationName(rel))));
		if (same ? from->atttypid != to->atttypid :
			!can_coerce_type(1, &from->atttypid, &to->atttypid, COERCION_ASSIGNMENT))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" is of type %s in the source but of type %s in table \"%s\"",
							NameStr(from->attname), format_type_be(from->atttypid),
							format_type_be(to->atttypid), RelationGetRelationName(rel))));
	}

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute to = TupleDescAttr(desc, i);

		if (!to->attisdropped && to->attnotnull && !to->atthasdef && !to->attidentity &&
			FeathubDescribeColumn(input, NameStr(to->attname)) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("column \"%s\" of table \"%s\" needs a value that the source does not give",
							NameStr(to->attname), RelationGetRelationName(rel))));
	}
	relation_close(rel, NoLock);
}

bool
FeathubHasUniqueKey(Oid relid, List *columns)
{
	static FeathubStatement statement = {
		.sql = "SELECT FROM pg_index AS i WHERE i.indrelid = $1 AND i.indisunique "
		"AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
		"AND i.indnkeyatts = cardinality($2) AND NOT EXISTS ("
		"SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum) "
		"JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
		"WHERE a.attname::text <> ALL ($2))",
		.nargs = 2, .argtypes = {OIDOID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum	   *names = (Datum *) palloc(sizeof(Datum) * list_length(columns));
	Datum		values[2];
	int			nnames = 0;
	ListCell   *lc;
	bool		found;

	foreach(lc, columns)
		names[nnames++] = CStringGetTextDatum((const char *) lfirst(lc));
	values[0] = ObjectIdGetDatum(relid);
	values[1] = PointerGetDatum(construct_array(names, nnames, TEXTOID, -1, false, TYPALIGN_INT));

	FeathubCatalogEnter(&scope);
	found = FeathubCatalogExecute(&statement, values, NULL) > 0;
	FeathubCatalogLeave(&scope);
	return found;
}

List *
FeathubGroupHistoryKey(const FeathubGroup *group)
{
	List	   *key = list_copy(group->primary_key);

	return group->event_time ? lappend(key, group->event_time) : key;
}

char *
FeathubQualifiedName(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

bool
FeathubHasName(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	return false;
}
