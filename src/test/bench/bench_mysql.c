/*
 * bench_mysql.c
 *		What a C client needs for the work that bench_mysql.sh lets feathub do.
 *
 *	bench_mysql SOCKET scan			fetch and parse all rows of bench.rows
 *	bench_mysql SOCKET lookup		10,000 rows by IN lists of 1,000
 *	bench_mysql SOCKET insert		100,000 rows into bench.sink, 1,000 a statement
 *
 * Prints seconds and CPU seconds.
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void
run(MYSQL *mysql, const char *sql)
{
	if (mysql_query(mysql, sql) != 0)
	{
		fprintf(stderr, "%s\n", mysql_error(mysql));
		exit(1);
	}
}

/* Days of YYYY-MM-DD, about; what counts is the work. */
static long
date(const char *s)
{
	return (atoi(s) * 12 + atoi(s + 5)) * 31 + atoi(s + 8);
}

static double
read_rows(MYSQL *mysql)
{
	MYSQL_RES  *res = mysql_use_result(mysql);
	MYSQL_ROW	row;
	double		sum = 0;

	while ((row = mysql_fetch_row(res)) != NULL)
	{
		unsigned long *lengths = mysql_fetch_lengths(res);

		sum += strtol(row[0], NULL, 10) + strtoll(row[1], NULL, 10) + strtod(row[2], NULL);
		sum += strtod(row[3], NULL) + lengths[4];
		sum += date(row[5]) * 86400.0 + atoi(row[5] + 11) * 3600 + atoi(row[5] + 14) * 60 + atoi(row[5] + 17);
		sum += date(row[6]) + atoi(row[7]);
	}
	mysql_free_result(res);
	return sum;
}

int
main(int argc, char **argv)
{
	MYSQL	   *mysql = mysql_init(NULL);
	struct rusage usage;
	double		start;
	double		sum = 0;
	char	   *sql = malloc(1 << 20);

	if (argc != 3 ||
		!mysql_real_connect(mysql, "127.0.0.1", "fh", "fh-secret", "bench", atoi(argv[1]), NULL, 0))
	{
		fprintf(stderr, "could not connect: %s\n", mysql_error(mysql));
		return 1;
	}
	start = seconds();
	if (strcmp(argv[2], "scan") == 0)
	{
		run(mysql, "SELECT id, k, a, b, c, d, e, f FROM `rows`");
		sum = read_rows(mysql);
	}
	else if (strcmp(argv[2], "lookup") == 0)
	{
		for (int batch = 0; batch < 10; batch++)
		{
			char	   *p = sql + sprintf(sql, "SELECT id, k, a, b, c, d, e, f FROM `rows` WHERE id IN (");

			for (int i = 0; i < 1000; i++)
				p += sprintf(p, "%s%d", i > 0 ? "," : "", (batch * 1000 + i) * 97 + 1);
			strcpy(p, ")");
			run(mysql, sql);
			sum += read_rows(mysql);
		}
	}
	else
	{
		run(mysql, "START TRANSACTION");
		for (int batch = 0; batch < 100; batch++)
		{
			char	   *p = sql + sprintf(sql, "INSERT INTO sink VALUES ");

			for (int i = 0; i < 1000; i++)
			{
				int			n = batch * 1000 + i;

				p += sprintf(p, "%s(%d,%d,%.17g,%d.25,'row number %d','2013-01-01 12:%02d:%02d','2013-01-%02d',%d)",
							 i > 0 ? "," : "", n, n * 7, n / 7.0, n, n, n / 60 % 60, n % 60, n % 28 + 1, n % 2);
			}
			run(mysql, sql);
		}
		run(mysql, "COMMIT");
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("%.3f %.3f\n", seconds() - start,
		   usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		   (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return sum < 0;
}
