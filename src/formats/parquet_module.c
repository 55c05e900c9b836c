/*
 * parquet_module.c
 *		What makes feathub_parquet a library that the server loads.
 *
 * It is apart from feathub so that only sessions that read or write parquet
 * map Apache Arrow.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
