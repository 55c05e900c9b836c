/*
 * view_share.c
 *		Views by which an online form reads with its owner's rights.
 *
 * A SECURITY DEFINER function would not be inlined.  A view of plain columns is
 * pulled up by the planner and leaves the look-up as it was, while its relation
 * is read with the rights of the view's owner.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "core/describe.h"
#include "features/feature_group.h"
#include "features/view_rewrite.h"
#include "features/view_share.h"

typedef struct ShareContext
{
	const char *nspname;
	const char *prefix;
	List	   *views;			/* made so far */
	const char *alias;			/* of the subquery to be walked, or NULL */
} ShareContext;

static bool share_walker(Node *node, void *arg);
static void share_relations(Query *query, const char *alias, ShareContext *context);
static Oid	make_view(const RangeTblEntry *rte, List *attnums, const char *alias, ShareContext *context);
static bool relation_walker(Node *node, void *arg);

List *
FeathubViewShare(Query *query, const char *nspname, const char *prefix)
{
	ShareContext context = {.nspname = nspname, .prefix = prefix};

	(void) share_walker((Node *) query, &context);
	(void) query_tree_walker(query, relation_walker, &context,
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return context.views;
}

/*
 * Replace the relations of a query and of all below it, outermost first.  A
 * subquery of one relation, as of a group's latest row, gives it its alias.
 */
static bool
share_walker(Node *node, void *arg)
{
	ShareContext *context = (ShareContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		context->alias = rte->rtekind == RTE_SUBQUERY && list_length(rte->subquery->rtable) == 1 ?
			rte->eref->aliasname : NULL;
		return false;
	}
	if (IsA(node, Query))
	{
		const char *alias = context->alias;

		context->alias = NULL;
		share_relations((Query *) node, alias, context);
		return query_tree_walker((Query *) node, share_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, share_walker, arg);
}

/* Replace the relations in the range table of a query. */
static void
share_relations(Query *query, const char *alias, ShareContext *context)
{
	FeathubColumnMaps maps = FeathubViewMakeMaps(query);
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Index		rtindex = foreach_current_index(lc) + 1;
		AttrNumber *map;
		List	   *attnums;
		List	   *names = NIL;
		ListCell   *lc2;

		if (rte->rtekind != RTE_RELATION)
			continue;
		map = (AttrNumber *) palloc0(sizeof(AttrNumber) * (list_length(rte->eref->colnames) + 1));
		attnums = FeathubViewUsedColumns(query, rtindex);
		foreach(lc2, attnums)
		{
			if (lfirst_int(lc2) <= 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("the whole row of \"%s\" cannot be used with %s",
								rte->eref->aliasname, "owner_rights"),
						 errhint("Name its columns.")));
			map[lfirst_int(lc2)] = foreach_current_index(lc2) + 1;
			names = lappend(names, makeString(get_attname(rte->relid, lfirst_int(lc2), false)));
		}
		rte->relid = make_view(rte, attnums, alias ? alias : rte->eref->aliasname, context);
		rte->relkind = RELKIND_VIEW;
		rte->inh = true;		/* it is no table, but ONLY must not be said */
		rte->alias = makeAlias(rte->eref->aliasname, NIL);
		rte->eref = makeAlias(rte->eref->aliasname, names);
		maps[rtindex] = map;
	}
	FeathubViewFinish(query, maps);
}

static Oid
make_view(const RangeTblEntry *rte, List *attnums, const char *alias, ShareContext *context)
{
	char	   *name = psprintf("%s_%s", context->prefix, alias);
	Oid			namespace = get_namespace_oid(context->nspname, false);
	StringInfoData sql;
	ListCell   *lc;
	Oid			view;

	/* relations of different subqueries may have the same alias */
	for (int i = 2; list_member_oid(context->views, get_relname_relid(name, namespace)); i++)
		name = psprintf("%s_%s_%d", context->prefix, alias, i);
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of view \"%s\" is too long", name),
				 errdetail("The online form reads relation \"%s\" by it.", alias),
				 errhint("Give the relation a shorter alias in the query.")));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW %s AS SELECT ",
					 quote_qualified_identifier(context->nspname, name));
	foreach(lc, attnums)
		appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(get_attname(rte->relid, lfirst_int(lc), false)));
	appendStringInfo(&sql, " FROM %s%s", rte->inh || get_rel_relkind(rte->relid) != RELKIND_RELATION ? "" : "ONLY ",
					 FeathubQualifiedName(rte->relid));
	FeathubGroupRunCommand(sql.data);
	view = get_relname_relid(name, namespace);
	context->views = lappend_oid(context->views, view);
	return view;
}

/* What is still read as it is. */
static bool
relation_walker(Node *node, void *arg)
{
	ShareContext *context = (ShareContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && !list_member_oid(context->views, rte->relid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("relation \"%s\" is below a subquery, where %s does not reach",
							rte->eref->aliasname, "owner_rights"),
					 errhint("Make the subquery a view, and join that.")));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, relation_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, relation_walker, arg);
}
