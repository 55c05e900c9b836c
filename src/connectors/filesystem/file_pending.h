/*
 * file_pending.h
 *		New files until their transaction commits.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_PENDING_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_PENDING_H

#include "connectors/filesystem/filesystem.h"

/*
 * FeathubFilePendingOpen
 *		Make a file that gets its name at commit and goes with an abort.
 *
 * folder is relative to the place's base; folders that are missing are made,
 * and removed again by an abort.  name is the final name.  Returns the
 * descriptor, open for writing; the caller syncs the file before the
 * transaction ends.
 */
extern int	FeathubFilePendingOpen(const FilePlace *place, const char *folder,
								   const char *name);

/* A file that a transaction has made, or a folder for it. */
typedef struct PendingFile
{
	FilePlace	place;
	char	   *folder;			/* relative to the place's base */
	char	   *name;			/* final */
	char	   *temporary;
	bool		is_folder;		/* a folder that was made; name is "" */
	bool		linked;			/* has its final name */
	bool		has_temporary;
	int			level;			/* of the subtransaction */
	struct PendingFile *next;
} PendingFile;

/* Open a folder, making it and those above it as above. */
extern int	FeathubFileMakeFolders(const FilePlace *place, const char *folder);

/*
 * FeathubFilePendingPositions
 *		Have the transaction's commit note a job's positions with its files.
 *
 * The batch lives in TopTransactionContext.  See file_position.h.
 */
struct FilePositions;
extern void FeathubFilePendingPositions(struct FilePositions *batch);

/* Is it the name of a file that a transaction has not committed? */
extern bool FeathubFileIsPendingName(const char *name);

/*
 * FeathubFilePendingCleanUp
 *		Remove such a file, in an open folder, if a crash has left it.
 *
 * Nothing is done to one whose transaction may run, or that another server
 * made.  Returns true if anything was removed.
 */
extern bool FeathubFilePendingCleanUp(int folder, const char *name);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_PENDING_H */
