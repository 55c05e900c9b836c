/*
 * mysql_library.h
 *		The client library's header, without the names that the server has too.
 *
 * libmariadb's list functions are not exported, but its headers declare them.
 * Include it right behind postgres.h, and only where the library is called.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_LIBRARY_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_LIBRARY_H

#define list_delete feathub_ma_list_delete
#define list_free feathub_ma_list_free
#define list_length feathub_ma_list_length
#define list_reverse feathub_ma_list_reverse
#include <errmsg.h>
#include <mysql.h>
#undef list_delete
#undef list_free
#undef list_length
#undef list_reverse
#undef list_rest
#undef list_push
#undef list_pop

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_LIBRARY_H */
