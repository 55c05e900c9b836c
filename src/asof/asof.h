/*
 * asof.h
 *		The point-in-time join: a custom scan node for lateral latest-row joins.
 */
#ifndef FEATHUB_ASOF_ASOF_H
#define FEATHUB_ASOF_ASOF_H

/* Register the node and the planner's hook.  From _PG_init. */
extern void FeathubAsofInit(void);

#endif							/* FEATHUB_ASOF_ASOF_H */
