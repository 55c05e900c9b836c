# Event times that guard rows in Redis, against a model: random rows and deletions
# in random statements, of every kind, between what others write in any form; from
# several sessions at once; and through faults of the server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $redis = redis_start(options => [ '--databases', '4' ]);
my $node = new_node('guard');
random_seed();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? "none: $out" : $err;
}

my $key = q{k text OPTIONS (key 'true')};
my $at = q{at timestamptz OPTIONS (event_time 'true')};
my $local = q{at timestamp OPTIONS (event_time 'true')};
my $beside = q{at timestamptz OPTIONS (metadata 'event_time')};

# Columns, options, and how the value is written and read
my %kinds = (
	hash => [ "$key, v text, n int, $at", q{kind 'hash'}, '%s', 'v' ],
	hash_local => [ "$key, v text, n int, $local", q{kind 'hash'}, '%s', 'v' ],
	hash_beside => [ "$key, v text, n int, $beside", q{kind 'hash'}, '%s', 'v' ],
	string => [ "$key, v text, $beside", q{kind 'string'}, '%s', 'v' ],
	json => [ "$key, v text, n int, $at", q{kind 'value', format 'json'}, '%s', 'v' ],
	json_local => [ "$key, v text, n int, $local", q{kind 'value', format 'json'}, '%s', 'v' ],
	json_number => [ "$key, v text, at timestamptz OPTIONS (event_time 'true', timestamp_format 'epoch_millis')", q{kind 'value', format 'json'}, '%s', 'v' ],
	long => [ "$key, v text, n int, $at", q{kind 'value', format 'json'}, q{%s || repeat('x', 3000)}, q{rtrim(v, 'x')} ],
	list => [ "$key, v text[], $beside", q{kind 'list'}, 'ARRAY[%s]', 'v[1]' ],
	set => [ "$key, v text[], $beside", q{kind 'set'}, 'ARRAY[%s]', 'v[1]' ],
	features => [ "$key, v text, w int[], $at", q{kind 'features'}, '%s', 'v' ],
	field => [ "$key, f text OPTIONS (metadata 'field'), v text, $beside", q{kind 'hash'}, '%s', 'v' ]);
my @keys = ('', 'a', '{a}b', 'a}{b', '{}', '{', 'x}', 'ü', 'a b', "q''", '%s%d', 'feathub:time:{a}');

sql(qq{CREATE SERVER r FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER r});
foreach my $kind (keys %kinds)
{
	my $name = $kind eq 'features' ? q{namespace 'features'} : $kind eq 'field' ? q(key_pattern 'field:{k}') : "prefix '$kind:'";
	sql("CREATE FOREIGN TABLE $kind ($kinds{$kind}[0]) SERVER r OPTIONS ($kinds{$kind}[1], $name, write_mode 'upsert')");
}

# Times of two days of any century, down to microseconds
sub stamp
{
	my ($t, $form) = @_;
	no warnings qw(redundant);
	return sprintf($form || '%04d-03-0%dT00:00:%02d.%06dZ', (1, 987, 1969, 2026, 9999)[ $t / 1000 ],
		1 + $t / 500 % 2, $t / 5 % 3, $t % 5 * 99999);
}

sub columns { return $_[0] eq 'field' ? 'k, f, v, at' : 'k, v, at'; }

sub row
{
	my ($kind, $key, $t, $value) = @_;
	return sprintf(q{('%s', %s%s, '%s')}, $key, $kind eq 'field' ? q{'x', } : '',
		sprintf($kinds{$kind}[2], "'$value'"), stamp($t));
}

sub state_of
{
	my $kind = shift;
	return sql("SELECT k, $kinds{$kind}[3] FROM $kind ORDER BY k COLLATE \"C\"");
}

my $n = 0;
foreach my $kind (sort keys %kinds)
{
	my (%time, %value, %dead, @script);
	my $others = 0;

	foreach my $round (1 .. 40)
	{
		if (rand() < 0.25)
		{
			my $k = $keys[ rand @keys ];
			push @script, "DELETE FROM $kind WHERE k = '$k'";
			next if !defined $value{$k};
			$dead{$k} = $time{$k};
			delete $value{$k};
			next;
		}
		my @rows;
		foreach (1 .. 1 + (rand() < 0.3 ? 0 : rand(30)))
		{
			my ($k, $t) = ($keys[ rand @keys ], int(rand(5000)));

			$t = ($time{$k} + int(rand(3)) - 1) % 5000 if defined $time{$k} && rand() < 0.4;
			my $v = 'v' . $n++;
			push @rows, row($kind, $k, $t, $v);
			next if defined $dead{$k} && stamp($t) le stamp($dead{$k});
			next if defined $value{$k} && stamp($t) lt stamp($time{$k});
			delete $dead{$k};
			($time{$k}, $value{$k}) = ($t, $v);
		}
		push @script, "INSERT INTO $kind (" . columns($kind) . ') VALUES ' . join(', ', @rows);

		# what others write replaces anything; its time is read
		next if $kind !~ /^(hash|hash_local|json|json_local|long)$/ || rand() < 0.8;
		sql(join('; ', splice @script));
		my $k = (grep { /^[a-z{}]+$/ && !defined $dead{$_} } @keys)[ rand 4 ];
		next if !defined $k;
		my $t = int(rand(5000));
		my $zone = $kind =~ /local/ ? '' : 'Z';
		my @forms = ('%04d-03-0%dT00:00:%02d.%06dZ', '%04d-03-0%dT00:00:%02d.%06d', '%04d-03-0%d 00:00:%02d.%06d+00', '%04d-03-0%dT00:00:%02d.%06d+00:00');
		my $text = stamp($t, $forms[ rand @forms ]);
		# fractions as others shorten them
		$text = stamp($t, ('%04d-03-0%dT00:00:%02dZ', '%04d-03-0%d 00:00:%02d+00')[ rand 2 ]) if $t % 5 == 0;
		my $v = 'v' . $n++;
		if ($kind =~ /hash/)
		{
			redis_cli($redis, 'HSET', "$kind:$k", 'v', $v, 'at', $text);
		}
		else
		{
			my @documents = (qq({"at":"$text","v":"$v"}), qq({"v":"$v","at":"$text"}), qq( {"n": 5, "deep":{"at":"9999"}, "at" : "$text","v":"$v" }),
				qq({"at":"$text","":"","v":"$v"}), qq({"\\u0061t":"$text","v":"$v"}), qq({"at":"$text","x":"","v":"$v"}));
			redis_cli($redis, 'SET', "$kind:$k", $documents[ rand @documents ]);
		}
		($time{$k}, $value{$k}) = ($t, $v);
		$others++;
	}
	sql(join('; ', @script));
	is(state_of($kind), join("\n", map { my $k = $_ =~ s/''/'/r; "$k|$value{$_}" } sort grep { defined $value{$_} } @keys),
		"$kind: as the model ($others by others)");
}

# Several sessions at once, with deletions: each key ends with its newest row, or
# without one, if that was there to be deleted; then its time is known.
foreach my $kind (qw(hash string json list field))
{
	my (%newest, @sessions);

	sql("TRUNCATE $kind");
	foreach my $session (1 .. 4)
	{
		my @script;

		foreach my $round (1 .. 40)
		{
			my @rows;

			push @script, "DELETE FROM $kind WHERE k = 'k" . int(rand(10)) . q{'} if rand() < 0.2;
			foreach (0 .. rand(20))
			{
				my ($k, $t) = ('k' . int(rand(10)), int(rand(4000)));
				my $stamp = stamp($t);

				push @rows, row($kind, $k, $t, $stamp);
				$newest{$k} = $stamp if !defined $newest{$k} || $newest{$k} lt $stamp;
			}
			push @script, "INSERT INTO $kind (" . columns($kind) . ') VALUES ' . join(', ', @rows);
		}
		my $out = '';
		push @sessions, [ IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', '-' ], '<', \join(";\n", @script, ''), '>&', \$out), \$out ];
	}
	foreach my $session (@sessions)
	{
		ok($session->[0]->finish, "$kind: a session") or diag(${ $session->[1] });
	}
	my %got = map { split /\|/ } split /\n/, state_of($kind);
	my @wrong;
	foreach my $k (sort keys %newest)
	{
		my $guard = $kind eq 'field' ? 'feathub:time:' . length("field:$k") . "{field:$k}x" : "feathub:time:{$kind:$k}";
		push @wrong, $k if defined $got{$k} ? $got{$k} ne $newest{$k} :
			redis_cli($redis, 'GET', $guard) ne 'd' . $newest{$k} =~ s/\D//gr;
	}
	is("@wrong", '', "$kind: the newest row or its deletion, of " . keys(%got) . ' rows left');
}

# Times of others that are shorter than ours, before a quote where ours end
foreach my $long ('', 'x' x 5000)
{
	redis_cli($redis, 'SET', 'json:short', '{"at":"2026-01-02T00:00:00Z","v":""}');
	is(sql(qq{INSERT INTO json VALUES ('short', '$long', 1, '2026-01-01'); SELECT v FROM json WHERE k = 'short'}), '', 'an older row leaves JSON that others wrote');
	is(sql(qq{INSERT INTO json VALUES ('short', 'new$long', 1, '2026-01-03'); SELECT left(v, 3) FROM json WHERE k = 'short'}), 'new', 'a newer one replaces it');
	redis_cli($redis, 'SET', 'json:short', '{"at":"2026-01-02T00:00:00Z","v":""}');
	is(sql(q{UPDATE json SET at = '2026-01-01' WHERE k = 'short'; DELETE FROM json WHERE k = 'short'; SELECT count(*) FROM json WHERE k = 'short'}), 0, 'UPDATE and DELETE read it too');
}

# What the server says about a key may only look so: the field's name is in it
sql(qq{CREATE FOREIGN TABLE named ($key, "x (key 99999999)" timestamptz OPTIONS (event_time 'true')) SERVER r OPTIONS (kind 'hash', prefix 'named:', write_mode 'upsert')});
redis_cli($redis, 'HSET', 'named:a', 'x (key 99999999)', 'yesterday');
like(error_of(q{INSERT INTO named VALUES ('b', now()), ('a', now())}), qr/22007.*field x \(key 99999999\) holds no time.*named:a/s, 'the key that the server means');

# Times to live: an older element takes no time from others of its key
sql(qq{CREATE FOREIGN TABLE life (id int OPTIONS (key 'true'), v text, $beside) SERVER r OPTIONS (kind 'set', key_pattern 'life:{id}', write_mode 'upsert', ttl '3600', ttl_from 'event_time')});
sql(q{INSERT INTO life VALUES (1, 'a', now()), (2, 'b', now() - interval '2 h'); INSERT INTO life VALUES (1, 'b', now() - interval '2 h')});
is(sql('SELECT id, v FROM life ORDER BY v'), "1|a\n1|b", 'a set lives as long as its newest member');
my ($ttl, $times) = map { redis_cli($redis, 'PTTL', $_) } 'life:1', 'feathub:time:{life:1}';
ok($ttl > 3000000 && abs($ttl - $times) < 100000, 'and so do their times') or diag("$ttl $times");
sql(q{INSERT INTO life VALUES (1, 'c', now() + interval '1 h')});
cmp_ok(redis_cli($redis, 'TTL', 'life:1'), '>', 3700, 'longer with a newer one');
is(redis_cli($redis, 'EXISTS', 'life:2', 'feathub:time:{life:2}'), 0, 'a set that is over leaves no times');
sql(q{DELETE FROM life WHERE id = 1 AND v = 'a'});
is(redis_cli($redis, 'TTL', 'feathub:time:6{life:1}a'), -1, 'a deleted member could come back as long as its set is there');
sql(qq{CREATE FOREIGN TABLE own ($key, v text, ttl interval OPTIONS (metadata 'ttl'), $at) SERVER r OPTIONS (prefix 'own:', kind 'hash', write_mode 'upsert', ttl '100', ttl_from 'event_time');
	INSERT INTO own VALUES ('a', 'a', '1 d', now()); DELETE FROM own});
is(redis_cli($redis, 'TTL', 'feathub:time:{own:a}'), -1, 'a deleted row too, if rows say how long they live');

# JSON and times beside it, as they were kept before: nothing older wins
redis_cli($redis, 'MSET', 'json:1', '{"v":"old","at":"2026-01-05T00:00:00.000000Z"}', 'feathub:time:{json:1}', '20260105000000000000',
	'feathub:time:{json:2}', 'd20260105000000000000', 'feathub:time:{json:3}', '20260105000000000000');
my $some = q{FROM generate_series(1, 4) g; SELECT string_agg(k || v, ' ' ORDER BY k) FROM json WHERE k IN ('1', '2', '3', '4')};
is(sql(qq{INSERT INTO json SELECT g, 'b', 1, '2026-01-04' $some}), '1old 4b', 'older rows than times beside JSON');
is(sql(qq{INSERT INTO json SELECT g, 'c', 1, '2026-01-06' $some}), '1c 2c 3c 4c', 'newer ones');
is(sql(qq{DELETE FROM json WHERE k = '1'; INSERT INTO json SELECT g, 'd', 1, '2026-01-05 12:00' $some}), '2c 3c 4c', 'what is beside counts no more');

# Databases of a server have their own times
sql(qq{CREATE SERVER other FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}', database '3');
	CREATE USER MAPPING FOR CURRENT_USER SERVER other;
	CREATE FOREIGN TABLE other ($key, v text, $at) SERVER other OPTIONS (kind 'hash', prefix 'hash:', write_mode 'upsert');
	TRUNCATE hash; INSERT INTO other VALUES ('a', 'new', '2026-02-01'), ('b', 'new', '2026-02-01'); DELETE FROM other WHERE k = 'b';
	INSERT INTO hash VALUES ('a', 'old', 1, '2026-01-01'), ('b', 'old', 1, '2026-01-01')});
is(sql('SELECT string_agg(v, NULL ORDER BY k) FROM hash') . sql('SELECT string_agg(k || v, NULL) FROM other'), 'oldoldanew', 'databases do not mix');

# Scripts that are forgotten while a session writes
my $session = $node->background_psql('postgres');
$session->query_safe(q{INSERT INTO hash SELECT 'x' || g, 'a', 1, '2026-01-01' FROM generate_series(1, 2) g});
redis_cli($redis, 'SCRIPT', 'FLUSH');
$session->query_safe(q{INSERT INTO hash SELECT 'x' || g % 500, g, g, '2026-03-01' FROM generate_series(1, 5000) g});
is($session->query_safe(q{SELECT count(*), min(n), max(n) FROM hash WHERE at = '2026-03-01'}), '500|4501|5000', 'are loaded again, and the last row of each time wins');
$session->quit;

# A full server refuses rows of every kind, whole, and takes deletions
foreach my $kind (qw(hash string json list set features))
{
	redis_cli($redis, 'FLUSHALL');
	my $pad = q{'v' || repeat('x', 2000)};
	my $rows = sprintf(q{SELECT g, %s, '2026-01-02' FROM generate_series(1, 20000) g}, sprintf($kinds{$kind}[2], $pad));
	redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '20mb');
	like(error_of("INSERT INTO $kind (k, v, at) $rows"), qr/53000.*OOM/s, "$kind: a full server");
	redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '1mb');
	is(sql("DELETE FROM $kind WHERE k < '11'; SELECT count(*) FROM $kind WHERE k < '11'"), 0, "$kind: takes deletions");
	redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '0');
	is(sql(sprintf("SELECT count(*) > 0, count(*) - count(%s), count(*) - count(at) FROM $kind", $kinds{$kind}[3])), 't|0|0', "$kind: has whole rows");
}
redis_cli($redis, 'FLUSHALL');
sql(qq{CREATE FOREIGN TABLE plain ($key, v text[]) SERVER r OPTIONS (kind 'list', prefix 'plain:', write_mode 'upsert'); INSERT INTO plain VALUES ('a', '{a,b}')});
redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '1mb');
like(error_of(q{INSERT INTO plain VALUES ('a', '{c}')}), qr/53000.*OOM/s, 'a list without event time too');
is(sql('SELECT v FROM plain'), '{a,b}', 'which stays as it was');
redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '0');
is(sql(q{INSERT INTO plain VALUES ('a', '{c}'), ('a', '{d,e}'); SELECT v FROM plain}), '{d,e}', 'until there is room');
redis_cli($redis, 'FLUSHALL');

# Rights that the user has not got
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER r OPTIONS (username 'u', password 'p')});
foreach my $rights ('~* +@all -evalsha', '~* +@all -script', '~hash:* +@all', '~* +@all -exists')
{
	redis_cli($redis, 'SCRIPT', 'FLUSH');
	redis_cli($redis, 'ACL', 'SETUSER', 'u', 'reset', 'on', '>p', split(/ /, $rights));
	like(error_of(q{INSERT INTO hash VALUES ('a', 'a', 1, now())}), qr/42501.*HINT:  The user needs/s, $rights);
	is(redis_cli($redis, 'DBSIZE'), 0, 'nothing is written');
}

done_testing();
