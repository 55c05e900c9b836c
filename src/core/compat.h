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
#include "foreign/fdwapi.h"
#include "optimizer/pathnode.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "feathub needs PostgreSQL 15 or newer"
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

#endif							/* FEATHUB_CORE_COMPAT_H */
