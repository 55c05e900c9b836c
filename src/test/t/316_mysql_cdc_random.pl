# Random transactions on a table that jobs follow by the server's binary log: all
# kinds of statements, keys of two columns that change, savepoints, rollbacks, a
# second table, large transactions, XA transactions that end in any order or not at
# all, new columns, workers that are killed.  The online tables must be what the
# server's tables are, and the history what its statements wrote, which they log in
# the same transactions.  Then the same log by TLS and by the compressed protocol.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $transactions = $ENV{FEATHUB_CDC_TRANSACTIONS} || 120;
our %server;					# set by 319_mysql_cdc_product.pl
my $mysql = mysql_start(%server, tls => 1, options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-metadata=FULL', '--transaction-isolation=READ-COMMITTED',
		%server ? ('--gtid-mode=ON', '--enforce-gtid-consistency=ON') : () ]);
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 70
});

sub sql { return $node->safe_psql('postgres', shift); }
sub my_sql { return mysql_query($mysql, "USE shop;\n" . shift); }
sub patient { return patient_query($node, shift); }

sub wait_for { return wait_for_job($node, shift); }

mysql_server($node, $mysql, %server ? '' : q{, ssl_mode 'disabled'});
my_sql(q{
	CREATE TABLE item (id int NOT NULL, k varchar(10) NOT NULL, n bigint, d decimal(12,4), f double, s varchar(100), l varchar(20) CHARACTER SET latin1,
	  t text, vb varbinary(20), en enum('a','b','cé'), se set('x','y','z'), da date, ti time(3), b bit(5), y year,
	  changed_at datetime(6) NOT NULL, PRIMARY KEY (id, k));
	CREATE TABLE item_log (seq int AUTO_INCREMENT PRIMARY KEY, id int, k varchar(10), n bigint, s varchar(100), changed_at datetime(6));
	CREATE TABLE gone_log (seq int AUTO_INCREMENT PRIMARY KEY, id int, k varchar(10));
	CREATE TABLE other (id int PRIMARY KEY, v varchar(50));
});

# Values for a statement.
sub value
{
	my $what = shift;
	return 'NULL' if rand() < 0.15;
	return int(rand(2e9)) - 1e9 if $what eq 'n';
	return sprintf('%.4f', rand(2e6) - 1e6) if $what eq 'd';
	return rand(1e6) . 'e' . (int(rand(40)) - 20) if $what eq 'f';
	return "'" . join('', map { ('a' .. 'z', ' ', 'é', '€', '😀', "''", '\\\\', '"')[rand 33] } 1 .. rand(20)) . "'" if $what eq 's';
	return "'" . join('', map { ('a' .. 'z', 'é', '€', 'ÿ')[rand 29] } 1 .. rand(15)) . "'" if $what eq 'l';
	return "REPEAT('" . chr(97 + rand 26) . "é', " . int(rand(3) < 0.1 ? rand(20000) : rand(50)) . ')' if $what eq 't';
	return "x'" . join('', map { sprintf('%02x', rand 256) } 1 .. rand(20)) . "'" if $what eq 'vb';
	return ("'a'", "'b'", "'cé'")[rand 3] if $what eq 'en';
	return ("''", "'x'", "'x,z'", "'x,y,z'")[rand 4] if $what eq 'se';
	return sprintf("'%04d-%02d-%02d'", 1000 + rand 9000, 1 + rand 12, 1 + rand 28) if $what eq 'da';
	return sprintf("'%s%03d:%02d:%02d.%03d'", rand() < 0.5 ? '-' : '', rand 838, rand 60, rand 60, rand 1000) if $what eq 'ti';
	return int(rand(32)) if $what eq 'b';
	return 1901 + int(rand(250)) if $what eq 'y';
}

my @columns = qw(n d f s l t vb en se da ti b y);
my $extra = 0;

sub key { return int(rand(60)) . ", '" . ('a', 'B', 'é', 'x y')[rand 4] . "'" }

# What a statement wrote, for the history.
my $log = 'INSERT INTO item_log (id, k, n, s, changed_at) SELECT id, k, n, s, changed_at FROM item WHERE changed_at = @t ORDER BY id, k;';

sub statement
{
	my $r = rand();
	my $from = int(rand(60));
	my $to = $from + int(rand(8));
	my $where = "id BETWEEN $from AND $to" . (rand() < 0.3 ? " AND k = 'a'" : '');
	my $now = 'SET @t = SYSDATE(6);';

	if ($r < 0.35)
	{
		return "$now INSERT IGNORE INTO item (id, k, changed_at, " . join(', ', @columns) . ') VALUES ' .
		  join(', ', map { '(' . key() . ', @t, ' . join(', ', map { value($_) } @columns) . ')' } 1 .. 1 + rand(12)) . "; $log";
	}
	if ($r < 0.55)
	{
		my $column = $columns[rand @columns];
		return "$now UPDATE item SET changed_at = \@t, $column = " . value($column) . ", n = n + 1 WHERE $where; $log";
	}
	if ($r < 0.65)
	{
		return "$now UPDATE item SET changed_at = \@t, s = UPPER(s), da = NULL WHERE $where ORDER BY id DESC LIMIT 5; $log";
	}
	if ($r < 0.72)
	{
		# keys move to where there are none
		return "$now INSERT INTO gone_log (id, k) SELECT id, k FROM item WHERE $where AND id < 100; " .
		  "UPDATE item SET id = id + 100 + (SELECT COUNT(*) FROM item_log) * 100, changed_at = \@t WHERE $where AND id < 100; $log";
	}
	if ($r < 0.85)
	{
		return "INSERT INTO gone_log (id, k) SELECT id, k FROM item WHERE $where; DELETE FROM item WHERE $where;";
	}
	return "REPLACE INTO other VALUES (" . int(rand(40)) . ", 'v" . int(rand(1e6)) . "'), (" . int(rand(40)) . ", 'w');" if $r < 0.93;
	return 'DELETE FROM other WHERE id % 7 = ' . int(rand(7)) . ';';
}

sub transaction
{
	my $sql = "START TRANSACTION;\n";
	my %deleted;
	my $savepoints = 0;
	for (1 .. 1 + rand(4))
	{
		my $statement = statement();
		if (rand() < 0.15)
		{
			$savepoints++;
			$sql .= "SAVEPOINT s$savepoints;\n$statement\nROLLBACK TO SAVEPOINT s$savepoints;\n";
			next;
		}
		$sql .= "$statement\n";
		# what is deleted comes back in a later transaction
		last if $statement =~ /^(INSERT INTO gone_log|.*id \+ 100)/;
	}
	return $sql . (rand() < 0.1 ? "ROLLBACK;\n" : "COMMIT;\n");
}

# An XA transaction is prepared, or one that was is ended.  Their rows are their
# own, so that nobody waits for their locks.
my ($branches, @prepared, @xa_rows) = (0);

sub prepare_xa
{
	my $xid = "'b" . ++$branches . "'" . (rand() < 0.5 ? ",'" . int(rand(9)) . "'" . (rand() < 0.5 ? ',' . int(rand(1e9)) : '') : '');
	my @new = map { 5000 + $branches * 20 + $_ } 0 .. rand(4);
	my @old = splice(@xa_rows, 0, int(rand(4)));
	my $sql = 'SET @t = SYSDATE(6); INSERT INTO item (id, k, n, s, changed_at) VALUES ' . join(', ', map { "($_, 'xa', $_, " . value('s') . ', @t)' } @new) . ';';
	my @left = @new;

	foreach my $id (@old)
	{
		if (rand() < 0.5)
		{
			$sql .= "INSERT INTO gone_log (id, k) VALUES ($id, 'xa'); DELETE FROM item WHERE id = $id AND k = 'xa';";
			next;
		}
		push @left, $id;
		$sql .= "UPDATE item SET n = n + 1, changed_at = \@t WHERE id = $id AND k = 'xa';";
	}
	my @touched = grep { my $id = $_; grep { $_ == $id } @left } @new, @old;
	$sql .= "INSERT INTO item_log (id, k, n, s, changed_at) SELECT id, k, n, s, changed_at FROM item WHERE k = 'xa' AND id IN (" . join(', ', @touched) . ');';
	my $one_phase = rand() < 0.2;
	my_sql("XA START $xid; $sql XA END $xid; " . ($one_phase ? "XA COMMIT $xid ONE PHASE" : "XA PREPARE $xid"));
	push @xa_rows, @left if $one_phase;
	push @prepared, { xid => $xid, old => \@old, left => \@left } unless $one_phase;
	return;
}

sub end_xa
{
	my $one = splice(@prepared, int(rand(@prepared)), 1);
	my $commit = rand() < 0.75;
	my_sql('XA ' . ($commit ? 'COMMIT' : 'ROLLBACK') . " $one->{xid}");
	push @xa_rows, @{ $commit ? $one->{left} : $one->{old} };
	return;
}

# Rows that are there before; then the jobs are made while others write.

my_sql(join('', map { transaction() } 1 .. 15));
prepare_xa() foreach 1 .. 4;
my_sql('SET @t = SYSDATE(6); INSERT INTO item (id, k, changed_at) VALUES ' . join(', ', map { "(" . (1000 + $_) . ", 'old', \@t)" } 1 .. 300) . "; $log");
my @types = (
	'n bigint', 'd numeric', 'f float8', 's text', 'l text', 't text', 'vb bytea', 'en text', 'se text[]', 'da date', 'ti interval', 'b bit(5)', 'y int');
my $declared = join(', ', @types);
sql(qq{
	CREATE FOREIGN TABLE item_source (id int OPTIONS (key 'true'), k text OPTIONS (key 'true'), $declared, changed_at timestamp)
	  SERVER mysql OPTIONS (table_name 'item', stream_mode 'binlog', snapshot_chunk_rows '7');
	CREATE FOREIGN TABLE item_now_source (id int OPTIONS (key 'true'), k text OPTIONS (key 'true'), $declared, changed_at timestamp)
	  SERVER mysql OPTIONS (table_name 'item', stream_mode 'binlog', snapshot_chunk_rows '5');
	CREATE FOREIGN TABLE other_source (id int OPTIONS (key 'true'), v text)
	  SERVER mysql OPTIONS (table_name 'other', stream_mode 'binlog', snapshot_chunk_rows '3');
});
my $writer = mysql_start_query($mysql, "USE shop;\n" . join('', map { transaction() } 1 .. $transactions / 2));
sql(q{
	SELECT feathub.create_feature_group('item', 'item_source', '{id,k}', 'changed_at');
	SELECT feathub.create_feature_group('item_now', 'item_now_source', '{id,k}');
	SELECT feathub.create_feature_group('other', 'other_source', '{id}');
});

# From here on, every version is to be in the history.
poll_until(sub { sql(q{SELECT count(*) FROM feathub.job_partition WHERE job = 'item' AND (position LIKE '% %:% % snapshot%' OR position NOT LIKE '%snapshot%')}) > 0 }, 'the job has begun');
my $before = my_sql('SELECT COALESCE(MAX(seq), 0) FROM item_log');
$writer->finish or die 'the writer failed';

my $kills = 0;
for my $round (1 .. $transactions / 4)
{
	my_sql(join('', map { transaction() } 1 .. 4));
	prepare_xa();
	end_xa() while @prepared > 3 && rand() < 0.7;
	if ($round % 6 == 0)
	{
		# a large one
		my_sql(q{START TRANSACTION; SET @t = SYSDATE(6);} . join('', map {
			my $base = 100000 + $round * 1000 + $_ * 100;
			'INSERT INTO item (id, k, s, changed_at) VALUES ' . join(', ', map { '(' . ($base + $_) . ", 'big', 's', \@t)" } 0 .. 99) . ';' } 0 .. 3) . "$log COMMIT;");
		my_sql(q{START TRANSACTION; INSERT INTO gone_log (id, k) SELECT id, k FROM item WHERE k = 'big'; DELETE FROM item WHERE id >= 100000 AND k = 'big'; COMMIT;}) if rand() < 0.5;
	}
	if ($round % 7 == 3)
	{
		# columns that the jobs do not know, before and behind those they do
		end_xa() while @prepared;	# it would wait for them
		$extra++;
		my_sql("ALTER TABLE item ADD COLUMN extra$extra int DEFAULT 5 " . ('', 'FIRST', 'AFTER d')[$extra % 3]);
	}
	if ($round % 5 == 0)
	{
		my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
		$kills += kill 'KILL', $pid if $pid;
	}
}
end_xa() while @prepared > 2;
cmp_ok($kills, '>', 0, "$kills workers were killed");
patient('SELECT 1');
wait_for($_) foreach ('item', 'item_now', 'other');

# What the online tables have that the server has not, or the other way round.
sub difference
{
	my ($name, $columns) = @_;
	return sql(qq{SELECT count(*) FROM (
		(SELECT $columns FROM ${name}_source EXCEPT SELECT $columns FROM ${name}_online) UNION ALL
		(SELECT $columns FROM ${name}_online EXCEPT SELECT $columns FROM ${name}_source)) x});
}
my $all = join(', ', qw(id k), @columns, 'changed_at');
is(difference('item_now', $all), '0', 'online is what the server has, by arrival');
is(difference('item', $all), '0', 'and by event time');
is(difference('other', 'id, v'), '0', 'another table');
cmp_ok(sql('SELECT count(*) FROM item_online'), '>', 20, 'which is something');

# The history: all that was logged since the jobs began, and deletions in between.

sql(q{
	CREATE FOREIGN TABLE item_log (seq int, id int, k text, n bigint, s text, changed_at timestamp) SERVER mysql;
	CREATE FOREIGN TABLE gone_log (seq int, id int, k text) SERVER mysql;
});
is(sql(qq{SELECT count(*) FROM (SELECT id, k, n, s, changed_at FROM item_log WHERE seq > $before
	EXCEPT SELECT id, k, n, s, changed_at FROM item WHERE NOT feathub_deleted) x}), '0', 'all versions are in the history');
is(sql(q{SELECT count(*) FROM (SELECT id, k, n, s, changed_at FROM item WHERE NOT feathub_deleted
	EXCEPT SELECT id, k, n, s, changed_at FROM item_log) x}), '0', 'and no others');
is(sql(q{SELECT count(*) FROM (SELECT id, k, count(*) FROM item WHERE feathub_deleted GROUP BY 1, 2
	EXCEPT SELECT id, k, count(*) FROM gone_log GROUP BY 1, 2) x
	WHERE NOT EXISTS (SELECT FROM gone_log g WHERE g.id = x.id AND g.k = x.k)}), '0', 'nothing is gone that was not deleted');
is(sql(q{SELECT count(*) FROM feathub.dead_letter}), '0', 'nothing was refused');
sql(qq{SELECT feathub.drop_feature_group('$_')}) foreach ('item', 'item_now', 'other');

# By TLS and compressed: packets of all sizes, also beyond the protocol's 16 MB.

my_sql(q{
	CREATE TABLE sent (id int PRIMARY KEY, v longtext);
	CREATE USER tls@'%' IDENTIFIED BY 'fh-secret' REQUIRE SSL; GRANT ALL ON *.* TO tls@'%';
	CREATE USER known@'%' IDENTIFIED BY 'fh-secret' REQUIRE X509; GRANT ALL ON *.* TO known@'%';
	SET GLOBAL max_allowed_packet = 64 * 1024 * 1024;
});

# A job by such a connection.
sub follow_by
{
	my ($name, $user, $options, $mapping) = @_;
	sql(qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host 'localhost', port '$mysql->{port}', database 'shop', $options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (user '$user', password 'fh-secret'} . ($mapping || '') . qq{);
		CREATE FOREIGN TABLE ${name}_source (id int OPTIONS (key 'true'), v text) SERVER $name OPTIONS (table_name 'sent', stream_mode 'binlog');
		SELECT feathub.create_feature_group('$name', '${name}_source', '{id}');
	});
}

sub is_sent
{
	my ($name, $what) = @_;
	wait_for($name);
	is(difference($name, 'id, v') . ' ' . sql("SELECT count(*) FROM ${name}_online"), '0 ' . my_sql('SELECT count(*) FROM sent'), $what);
}

my_sql(q{INSERT INTO sent VALUES (1, 'there before'), (2, 'also')});
follow_by('packed', 'fh', q{compression 'true', ssl_mode 'preferred'});
wait_for('packed');
sub bytes_sent { return (split /\t/, my_sql(q{SHOW GLOBAL STATUS LIKE 'Bytes_sent'}))[1] }
my $bytes = bytes_sent();
my_sql(q{INSERT INTO sent VALUES } . join(', ', map { "($_, REPEAT('x', 10000))" } 100 .. 399));
is_sent('packed', 'by the compressed protocol');
cmp_ok(bytes_sent() - $bytes, '<', 1000000, '3 MB were sent in less');

follow_by('required', 'tls', q{ssl_mode 'required'});
follow_by('verified', 'known', qq{ssl_mode 'verify_identity', ssl_ca '$mysql->{ca}', compression 'true'},
	qq{, ssl_cert '$mysql->{cert}', ssl_key '$mysql->{key}'});
wait_for($_) foreach ('required', 'verified');
my_sql(q{
	INSERT INTO sent VALUES (3, REPEAT('0123456789abcde', 1200000));
	INSERT INTO sent VALUES (4, REPEAT('x', 16777215 - 60)), (5, ''), (6, NULL);
	UPDATE sent SET v = CONCAT(v, 'é') WHERE id < 4; DELETE FROM sent WHERE id = 5;
});
my_sql(join('', map { "INSERT INTO sent VALUES ($_, '" . 'y' x rand(300) . "');" } 500 .. 600));
is_sent($_, "by TLS: $_") foreach ('required', 'verified', 'packed');

# What does not fit is refused, and the job goes on once it does.
follow_by('wary', 'tls', qq{ssl_mode 'verify_identity', ssl_ca '$mysql->{wrong_ca}'});
sub error_is
{
	my ($like, $what) = @_;
	poll_until(sub { sql(q{SELECT last_error FROM feathub.job_status WHERE job = 'wary'}) =~ $like }, $what);
	like(sql(q{SELECT last_error FROM feathub.job_status WHERE job = 'wary'}), $like, $what);
}
error_is(qr/could not connect to foreign server "wary"(?!.*Access denied)/s, 'a certificate of another authority');
sql(q{ALTER SERVER wary OPTIONS (SET ssl_mode 'disabled')});
error_is(qr/Access denied/, 'a user that must come by TLS');
sql(qq{ALTER SERVER wary OPTIONS (SET ssl_mode 'verify_identity', SET ssl_ca '$mysql->{ca}')});
is_sent('wary', 'the job goes on once all is right');

done_testing();
