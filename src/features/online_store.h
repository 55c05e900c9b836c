/*
 * online_store.h
 *		A further online store of a feature group: a foreign table that gets what
 *		its online table gets.
 */
#ifndef FEATHUB_FEATURES_ONLINE_STORE_H
#define FEATHUB_FEATURES_ONLINE_STORE_H

#include "core/catalog.h"

/*
 * FeathubOnlineStoreCheck
 *		Raise an error unless group->store can be the store of the group, whose
 *		online table exists.
 *
 * It is a foreign table of the current user's, in which rows replace those of
 * the group's primary key, and whose columns the online table all has.
 */
extern void FeathubOnlineStoreCheck(const FeathubGroup *group);

/*
 * FeathubOnlineStoreFill
 *		Bring all rows of the online table to the store, as the group's owner;
 *		with exactly, remove what is not among them.  Returns the rows brought.
 *
 * Whoever writes to the group waits meanwhile, and knows of the store then.
 */
extern int64 FeathubOnlineStoreFill(const FeathubGroup *group, bool exactly);

#endif							/* FEATHUB_FEATURES_ONLINE_STORE_H */
