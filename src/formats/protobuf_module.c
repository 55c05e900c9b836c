/*
 * protobuf_module.c
 *		What makes feathub_protobuf a library that the server loads.
 *
 * It is apart from feathub so that only sessions that read or write protobuf
 * map Google's library.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
