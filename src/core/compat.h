/*
 * compat.h
 *		Differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only place with PG_VERSION_NUM.  Code is written for the newest form;
 * what older servers lack is defined here.
 */
#ifndef FEATHUB_CORE_COMPAT_H
#define FEATHUB_CORE_COMPAT_H

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "optimizer/pathnode.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

/* 18 moved ExplainState and what formats it to headers of their own. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#if PG_VERSION_NUM < 150000
#error "feathub needs PostgreSQL 15 or newer"
#endif

/* 16 has allocations of its own for what settings' hooks keep. */
#if PG_VERSION_NUM >= 160000
#define feathub_guc_malloc(size) guc_malloc(LOG, size)
#else
#define feathub_guc_malloc(size) malloc(size)
#endif

/* 17 lets a logical message be flushed at once (replication/message.h). */
#if PG_VERSION_NUM >= 170000
#define feathub_log_message(prefix, message, size) \
	((void) LogLogicalMessage(prefix, message, size, true, true))
#else
#define feathub_log_message(prefix, message, size) \
	XLogFlush(LogLogicalMessage(prefix, message, size, true))
#endif

/* 17 renamed the counters of transactions (access/transam.h). */
#if PG_VERSION_NUM >= 170000
#define feathub_oldest_clog_xid() (TransamVariables->oldestClogXid)
#else
#define feathub_oldest_clog_xid() (ShmemVariableCache->oldestClogXid)
#endif

/* 16 lets a read of a temporary file end early only if that is said. */
#if PG_VERSION_NUM >= 160000
#define feathub_buffile_read_maybe_eof(file, ptr, size) BufFileReadMaybeEOF(file, ptr, size, true)
#else
#define feathub_buffile_read_maybe_eof(file, ptr, size) BufFileRead(file, ptr, size)
#endif

/* 16 can report a bad modifier without an error. */
#if PG_VERSION_NUM >= 160000
#define feathub_adjust_timestamp(time, typmod) ((void) AdjustTimestampForTypmod(time, typmod, NULL))
#else
#define feathub_adjust_timestamp(time, typmod) AdjustTimestampForTypmod(time, typmod)
#endif

/* 16 moved VARDATA_ANY and its like out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 writes it in front of declarations. */
#ifndef pg_noreturn
#define pg_noreturn __attribute__((noreturn))
#endif

/* 17 did away with Abs. */
#ifndef Abs
#define Abs(x) ((x) >= 0 ? (x) : -(x))
#endif

/* 17 added fdw_restrictinfo, 18 disabled_nodes. */
#if PG_VERSION_NUM >= 180000
#define feathub_create_foreignscan_path(root, rel, target, rows, startup, total, pathkeys, outer, fdw_outer, priv) \
	create_foreignscan_path(root, rel, target, rows, 0, startup, total, pathkeys, outer, fdw_outer, NIL, priv)
#elif PG_VERSION_NUM >= 170000
#define feathub_create_foreignscan_path(root, rel, target, rows, startup, total, pathkeys, outer, fdw_outer, priv) \
	create_foreignscan_path(root, rel, target, rows, startup, total, pathkeys, outer, fdw_outer, NIL, priv)
#else
#define feathub_create_foreignscan_path(root, rel, target, rows, startup, total, pathkeys, outer, fdw_outer, priv) \
	create_foreignscan_path(root, rel, target, rows, startup, total, pathkeys, outer, fdw_outer, priv)
#endif

/* Since 16 the caller says whether it wants a copy, which before it always got. */
#if PG_VERSION_NUM >= 160000
#define feathub_tuplesort_getdatum(sort, value, isnull) \
	tuplesort_getdatum(sort, true, true, value, isnull, NULL)
#else
#define feathub_tuplesort_getdatum(sort, value, isnull) \
	tuplesort_getdatum(sort, true, value, isnull, NULL)
#endif

/* 18 says what a path key compares by, not with which strategy of a B-tree. */
#if PG_VERSION_NUM >= 180000
#define feathub_pathkey_descending(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define feathub_pathkey_descending(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* As feathub_create_foreignscan_path, for joins and for what is above joins. */
#if PG_VERSION_NUM >= 180000
#define feathub_create_foreign_join_path(root, rel, rows, startup, total) \
	create_foreign_join_path(root, rel, NULL, rows, 0, startup, total, NIL, NULL, NULL, NIL, NIL)
#define feathub_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, pathkeys, NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define feathub_create_foreign_join_path(root, rel, rows, startup, total) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, NIL, NULL, NULL, NIL, NIL)
#define feathub_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, NULL, NIL, NIL)
#else
#define feathub_create_foreign_join_path(root, rel, rows, startup, total) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, NIL, NULL, NULL, NIL)
#define feathub_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, NULL, NIL)
#endif

/* Before 17 an extension's waits share one unnamed event. */
#if PG_VERSION_NUM >= 170000
#define FEATHUB_WAIT_EVENT(name) \
	({ static uint32 event_ = 0; if (event_ == 0) event_ = WaitEventExtensionNew(name); event_; })
#else
#define FEATHUB_WAIT_EVENT(name) PG_WAIT_EXTENSION
#endif

/* 17 lets a worker run as a role that may not log in. */
#if PG_VERSION_NUM >= 170000
#define FEATHUB_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#define FEATHUB_OWNER_NEEDS_LOGIN false
#else
#define FEATHUB_WORKER_CONNECT_FLAGS 0
#define FEATHUB_OWNER_NEEDS_LOGIN true
#endif

/* 16 has one pair of functions for all kinds of objects. */
#if PG_VERSION_NUM < 160000
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	switch (classid)
	{
		case DatabaseRelationId:
			return pg_database_aclcheck(objectid, roleid, mode);
		case NamespaceRelationId:
			return pg_namespace_aclcheck(objectid, roleid, mode);
		default:
			elog(ERROR, "unexpected object class: %u", classid);
			return ACLCHECK_NO_PRIV;
	}
}

static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	Assert(classid == RelationRelationId);
	return pg_class_ownercheck(objectid, roleid);
}
#endif

/* 18 removed ExecutorRun's execute_once. */
#if PG_VERSION_NUM >= 180000
#define feathub_executor_run(desc) ExecutorRun(desc, ForwardScanDirection, 0)
#else
#define feathub_executor_run(desc) ExecutorRun(desc, ForwardScanDirection, 0, true)
#endif
#define feathub_create_query_desc(stmt, plan, text, snapshot, dest, env) \
	CreateQueryDesc(stmt, text, snapshot, InvalidSnapshot, dest, NULL, env, 0)

/* 17 added the counters of memory to what EXPLAIN shows. */
#if PG_VERSION_NUM >= 170000
#define feathub_explain_one_plan(stmt, es, text, env) \
	ExplainOnePlan(stmt, NULL, es, text, NULL, env, NULL, NULL, NULL)
#else
#define feathub_explain_one_plan(stmt, es, text, env) \
	ExplainOnePlan(stmt, NULL, es, text, NULL, env, NULL, NULL)
#endif

/* 16 made one function of the ownership checks of all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#define feathub_owns_database(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#else
#define feathub_owns_database(oid, role) pg_database_ownercheck(oid, role)
#endif

/* 16 moved checkAsUser from range table entries to RTEPermissionInfo. */
#if PG_VERSION_NUM < 160000
static inline Oid
ExecGetResultRelCheckAsUser(ResultRelInfo *relinfo, EState *estate)
{
	Index		rti = relinfo->ri_RangeTableIndex;
	Oid			userid = InvalidOid;

	/* a partition that rows are routed to has the entry of the root */
	if (rti == 0 && relinfo->ri_RootResultRelInfo)
		rti = relinfo->ri_RootResultRelInfo->ri_RangeTableIndex;
	if (rti != 0)
		userid = exec_rt_fetch(rti, estate)->checkAsUser;
	return OidIsValid(userid) ? userid : GetUserId();
}
#endif

/* A table that a foreign scan reads; 16 counts outer joins in fs_relids. */
static inline RangeTblEntry *
feathub_scan_table(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Index		rti = plan->scan.scanrelid;

#if PG_VERSION_NUM >= 160000
	if (rti == 0)
		rti = bms_next_member(plan->fs_base_relids, -1);
#else
	if (rti == 0)
		rti = bms_next_member(plan->fs_relids, -1);
#endif
	return exec_rt_fetch(rti, node->ss.ps.state);
}

/* Whose rights a foreign scan uses. */
static inline Oid
feathub_scan_userid(ForeignScanState *node)
{
	Oid			userid;

#if PG_VERSION_NUM >= 160000
	userid = ((ForeignScan *) node->ss.ps.plan)->checkAsUser;
#else
	userid = feathub_scan_table(node)->checkAsUser;
#endif
	return OidIsValid(userid) ? userid : GetUserId();
}

/* 16 lets input functions report bad input without raising it, 17 domains. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define feathub_decode_datetime(field, ftype, nf, dtype, tm, fsec, tz) \
	({ DateTimeErrorExtra extra_; DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz, &extra_); })

static inline bool
feathub_input_function_safe(FmgrInfo *flinfo, char *str, Oid ioparam, int32 typmod,
							Datum *result, int *sqlerrcode, char **message)
{
	ErrorSaveContext escontext = {T_ErrorSaveContext};

	escontext.details_wanted = true;
	if (InputFunctionCallSafe(flinfo, str, ioparam, typmod, (Node *) &escontext, result))
		return true;
	*sqlerrcode = escontext.error_data->sqlerrcode;
	*message = escontext.error_data->message;
	return false;
}
#else
#define feathub_decode_datetime(field, ftype, nf, dtype, tm, fsec, tz) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz)

static inline bool
feathub_input_function_safe(FmgrInfo *flinfo, char *str, Oid ioparam, int32 typmod,
							Datum *result, int *sqlerrcode, char **message)
{
	*result = InputFunctionCall(flinfo, str, ioparam, typmod);
	return true;
}
#endif
#if PG_VERSION_NUM >= 170000
static inline bool
feathub_domain_check_safe(Datum value, bool isnull, Oid domain, void **extra,
						  MemoryContext context, int *sqlerrcode, char **message)
{
	ErrorSaveContext escontext = {T_ErrorSaveContext};

	escontext.details_wanted = true;
	if (domain_check_safe(value, isnull, domain, extra, context, (Node *) &escontext))
		return true;
	*sqlerrcode = escontext.error_data->sqlerrcode;
	*message = escontext.error_data->message;
	return false;
}
#else
static inline bool
feathub_domain_check_safe(Datum value, bool isnull, Oid domain, void **extra,
						  MemoryContext context, int *sqlerrcode, char **message)
{
	domain_check(value, isnull, domain, extra, context);
	return true;
}
#endif

/* 16 gave callbacks of the JSON parser a result, 17 its lexer a first argument. */
#if PG_VERSION_NUM >= 160000
#define FeathubJsonResult JsonParseErrorType
#define FEATHUB_JSON_CONTINUE return JSON_SUCCESS
#else
#define FeathubJsonResult void
#define FEATHUB_JSON_CONTINUE return
#endif
#if PG_VERSION_NUM >= 170000
#define feathub_make_json_lex(json, len, need_escapes) \
	makeJsonLexContextCstringLen(NULL, (json), (len), PG_UTF8, (need_escapes))
#else
#define feathub_make_json_lex(json, len, need_escapes) \
	makeJsonLexContextCstringLen((json), (len), PG_UTF8, (need_escapes))
#endif

/*
 * 16 added onlySummarizing to ExecInsertIndexTuples, and has updates tell
 * which indexes need an entry where they told whether any does.
 */
#if PG_VERSION_NUM >= 160000
#define FeathubUpdateIndexes TU_UpdateIndexes
#define FEATHUB_ALL_INDEXES TU_All
#define feathub_insert_index_tuples(result, slot, estate, update, which, arbiters, conflict) \
	ExecInsertIndexTuples(result, slot, estate, update, !(update), conflict, arbiters, \
						  (which) == TU_Summarizing)
#else
#define FeathubUpdateIndexes bool
#define FEATHUB_ALL_INDEXES true
#define feathub_insert_index_tuples(result, slot, estate, update, which, arbiters, conflict) \
	ExecInsertIndexTuples(result, slot, estate, update, !(update), conflict, arbiters)
#endif

/* 18 counts an index scan's descents, and names the tuple that is updated. */
#if PG_VERSION_NUM >= 180000
#define feathub_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#define feathub_check_index_constraints(result, slot, estate, conflict, none, arbiters) \
	ExecCheckIndexConstraints(result, slot, estate, conflict, none, arbiters)
#else
#define feathub_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan(rel, index, snapshot, nkeys, 0)
#define feathub_check_index_constraints(result, slot, estate, conflict, none, arbiters) \
	ExecCheckIndexConstraints(result, slot, estate, conflict, arbiters)
#endif

/* 16 gave flatten_join_alias_vars a planner's root, which may be NULL. */
#if PG_VERSION_NUM >= 160000
#define feathub_flatten_join_alias_vars(query, node) flatten_join_alias_vars(NULL, query, node)
#else
#define feathub_flatten_join_alias_vars(query, node) flatten_join_alias_vars(query, node)
#endif

/* 16 moved permissions out of range table entries. */
#if PG_VERSION_NUM >= 160000
#define feathub_set_rteperminfos(query, pstate) ((query)->rteperminfos = (pstate)->p_rteperminfos)
#else
#define feathub_set_rteperminfos(query, pstate) ((void) 0)
#endif

/* 18 lets Vars of expandRTE be OLD or NEW of RETURNING. */
#if PG_VERSION_NUM >= 180000
#define feathub_expand_rte(rte, rtindex, names, vars) \
	expandRTE(rte, rtindex, 0, VAR_RETURNING_DEFAULT, -1, false, names, vars)
#else
#define feathub_expand_rte(rte, rtindex, names, vars) \
	expandRTE(rte, rtindex, 0, -1, false, names, vars)
#endif

/* 18 counts the disabled nodes of a path apart from its cost. */
#if PG_VERSION_NUM >= 180000
#define feathub_disabled_nodes(path) ((path)->disabled_nodes)
#define feathub_set_disabled_nodes(path, n) ((path)->disabled_nodes = (n))
#else
#define feathub_disabled_nodes(path) 0
#define feathub_set_disabled_nodes(path, n) ((void) (n))
#endif

/* 16 wants to know of each Var which outer joins may have made it NULL. */
#if PG_VERSION_NUM >= 160000
#define feathub_set_nullingrels(var, relids) ((var)->varnullingrels = (relids))
#else
#define feathub_set_nullingrels(var, relids) ((void) (relids))
#endif

/*
 * 16 marks Vars and placeholders with the outer joins that may have made them
 * NULL, and wants them to agree within a plan node.  A custom scan that is an
 * outer join itself has those of its inner relation below and above itself in
 * one list.  This gives a copy of node with the marks that the same ones have
 * in exprs; the executor has one value for each, whichever side is meant.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

static inline bool
feathub_same_but_nullingrels(Node *a, Node *b)
{
	if (nodeTag(a) != nodeTag(b))
		return false;
	if (IsA(a, Var))
		return ((Var *) a)->varno == ((Var *) b)->varno &&
			((Var *) a)->varattno == ((Var *) b)->varattno &&
			((Var *) a)->varlevelsup == ((Var *) b)->varlevelsup;
	return IsA(a, PlaceHolderVar) &&
		((PlaceHolderVar *) a)->phid == ((PlaceHolderVar *) b)->phid;
}

static inline Node *
feathub_adopt_mutator(Node *node, void *arg)
{
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) || IsA(node, PlaceHolderVar))
		foreach(lc, (List *) arg)
			if (feathub_same_but_nullingrels(node, lfirst(lc)))
				return copyObject(lfirst(lc));
	return expression_tree_mutator(node, feathub_adopt_mutator, arg);
}

static inline Node *
feathub_adopt_nullingrels(Node *node, List *exprs)
{
	int			flags = PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS;
	List	   *known = pull_var_clause((Node *) exprs, flags | PVC_INCLUDE_PLACEHOLDERS);

	/* what is in a placeholder counts only if it is nowhere else */
	known = list_concat(known, pull_var_clause((Node *) exprs, flags | PVC_RECURSE_PLACEHOLDERS));
	return feathub_adopt_mutator(node, known);
}
#else
#define feathub_adopt_nullingrels(node, exprs) (node)
#endif

/*
 * 18 asks the locale whether it sorts as C does, and by which bytes two texts
 * may differ and be equal.  The header wants ICU's headers, which a server's
 * package need not bring, for a part of the locale that is none of ours.
 */
#if PG_VERSION_NUM >= 180000
#pragma push_macro("USE_ICU")
#undef USE_ICU
#include "utils/pg_locale.h"
#pragma pop_macro("USE_ICU")
#define feathub_collation_is_c(oid) (OidIsValid(oid) && pg_newlocale_from_collation(oid)->collate_is_c)
#define feathub_collation_is_deterministic(oid) (pg_newlocale_from_collation(oid)->deterministic)
#else
#include "utils/lsyscache.h"
extern bool lc_collate_is_c(Oid collation);
#define feathub_collation_is_c(oid) lc_collate_is_c(oid)
#define feathub_collation_is_deterministic(oid) get_collation_isdeterministic(oid)
#endif

/* 17 tells a subquery's planner of the set operation it is a part of. */
#if PG_VERSION_NUM >= 170000
#define feathub_subquery_planner(glob, query, parent) subquery_planner(glob, query, parent, false, 0.0, NULL)
#else
#define feathub_subquery_planner(glob, query, parent) subquery_planner(glob, query, parent, false, 0.0)
#endif

/* 18 has orders of its own instead of btree's strategies. */
#if PG_VERSION_NUM >= 180000
typedef CompareType feathub_sort_strategy;
#define FEATHUB_SORT_DESCENDING COMPARE_GT
#else
typedef int16 feathub_sort_strategy;
#define FEATHUB_SORT_DESCENDING BTGreaterStrategyNumber
#endif

#endif							/* FEATHUB_CORE_COMPAT_H */
