/*
 * file_position.h
 *		Positions of jobs in the folder that they write to.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_POSITION_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_POSITION_H

#include "connectors/filesystem/file_pending.h"

/* What a batch of a job notes when its files get their names. */
typedef struct FilePositions
{
	FilePlace	place;
	char	   *folder;			/* of the file of positions, relative to base */
	char	   *name;
	List	   *positions;		/* FeathubSinkPosition * */
} FilePositions;

/*
 * FeathubFilePositionsCommit
 *		Give a batch's files their names and note its positions, all or nothing.
 *
 * Before the commit of the batch's transaction.  An error leaves either nothing
 * done, or all of it noted, to be finished by whoever reads the positions next;
 * then the files (PendingFile) are no longer the transaction's.
 */
extern void FeathubFilePositionsCommit(FilePositions *batch, PendingFile *files);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_POSITION_H */
