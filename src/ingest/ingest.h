/*
 * ingest.h
 *		What other folders need of ingestion.
 */
#ifndef FEATHUB_INGEST_INGEST_H
#define FEATHUB_INGEST_INGEST_H

/*
 * Reserve shared memory, install hooks, register the launcher.  From _PG_init;
 * without shared_preload_libraries it does next to nothing.
 */
extern void FeathubIngestInit(void);

#endif							/* FEATHUB_INGEST_INGEST_H */
