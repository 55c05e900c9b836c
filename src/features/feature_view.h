/*
 * feature_view.h
 *		Feature views by name.
 */
#ifndef FEATHUB_FEATURES_FEATURE_VIEW_H
#define FEATHUB_FEATURES_FEATURE_VIEW_H

#include "core/view_catalog.h"

/* The feature view of that name; NULL, or UNDEFINED_OBJECT, if there is none. */
extern FeathubView *FeathubViewFind(const char *name, bool missing_ok);

#endif							/* FEATHUB_FEATURES_FEATURE_VIEW_H */
