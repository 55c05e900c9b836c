# FeathubClients.pm
#	Programs that write to topics and read tables, as users of a feature store
#	run them, the rows that all of them write, and the recipes of README.md.
package FeathubClients;

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

use FeathubTest;

our @EXPORT = qw(client_folder recipe run_program rows_sql make_row_table write_rows follow_rows check_rows);

my $source = Cwd::abs_path(
	File::Basename::dirname(File::Basename::dirname(File::Basename::dirname(
				File::Basename::dirname(Cwd::abs_path(__FILE__))))));

=pod

=over

=item client_folder($part)

The folder of a client, fetched by src/test/bin/clients.sh: python, protobuf,
flink or spark.  Skips the file if it is not there.

=cut

sub client_folder
{
	my ($part) = @_;
	my $folder = ($ENV{FEATHUB_CLIENTS} || '') . "/$part";

	plan(skip_all => "client $part could not be fetched") unless -e "$folder/.complete";
	return $folder;
}

=item recipe($name, %replace)

The code of README.md after the line <!-- client: name -->, where each key of
%replace, an address that stands for the reader's own, becomes its value.

=cut

sub recipe
{
	my ($name, %replace) = @_;
	my ($code) = slurp_file("$source/README.md") =~ /^<!-- client: \Q$name\E -->\n(?:<!-- skip: .*? -->\n)?```\w+\n(.*?)^```$/ms
	  or die "README.md has no recipe $name";

	foreach my $from (sort keys %replace)
	{
		$code =~ s/\Q$from\E/$replace{$from}/g;
	}
	return $code;
}

=item run_program($command, $input)

Run a program, an array, and return its standard output; dies with what it
complained of.

=cut

sub run_program
{
	my ($command, $input) = @_;
	my ($out, $err) = ('', '');

	$input = '' unless defined $input;
	IPC::Run::run($command, '<', \$input, '>', \$out, '2>', \$err)
	  or die "$command->[0] failed: " . substr($err, -4000) . substr($out, -2000);
	return $out;
}

=back

=head2 Rows that every client writes

Numbered from 1: times with microseconds, decimals, NULLs, text beyond ASCII,
arrays, and one record of almost 1 MB.

=over

=item make_row_table($node, $count)

Table client_row with these rows.

=cut

sub make_row_table
{
	my ($node, $count) = @_;

	$node->safe_psql('postgres', qq{
		ALTER DATABASE postgres SET timezone = 'UTC';
		CREATE TABLE client_row AS
		  SELECT i AS id,
		         '2024-02-29 23:59:59.000001+00'::timestamptz + i * interval '1.000001 s' AS at,
		         CASE WHEN i % 7 <> 0 THEN (i * 98765.4321 - 1234567)::numeric(14,4) END AS price,
		         CASE WHEN i % 11 <> 0 THEN U&'h\\00e9 \\4f60 \\+01f600 "\\\\'' ' || i END AS name,
		         CASE WHEN i % 5 <> 0 THEN i % 3 = 0 END AS flag,
		         CASE i % 4 WHEN 0 THEN '{}'::text[] WHEN 1 THEN NULL ELSE ARRAY['a', U&'\\00fc,"{}', i::text] END AS tags,
		         i / 3.0::float8 AS ratio,
		         '1999-12-31'::date + i::int AS day,
		         CASE WHEN i = 100 THEN repeat('x', 980000) ELSE '' END AS pad
		    FROM generate_series(1::bigint, $count) i;
	});
	return;
}

=item write_rows($node, $file)

The rows as lines of JSON, for clients to read.

=cut

sub write_rows
{
	my ($node, $file) = @_;

	append_to_file($file, $node->safe_psql('postgres', q{
		SELECT json_build_object('id', id, 'at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'price', price, 'name', name,
		         'flag', flag, 'tags', tags, 'ratio', ratio, 'day', day, 'pad', pad)
		  FROM client_row ORDER BY id}) . "\n");
	return;
}

=item follow_rows($node, $kafka, $name, %options)

Make a topic of that name, a foreign table <name>_stream, a feature group that
ingests it and a table <name>_arrived into which every record comes once.
Options: partitions (3), options => further ones of the foreign table, columns
=> further columns, mapping => options by column, arguments => of the group,
server => one with more options than the "kafka" that is made.

=cut

sub follow_rows
{
	my ($node, $kafka, $name, %opt) = @_;
	my $options = $opt{options} || "format 'json'";
	my $columns = $opt{columns} ? ", $opt{columns}" : '';
	my $arguments = $opt{arguments} ? ", $opt{arguments}" : '';
	my $server = $opt{server} || 'kafka';
	my %mapping = map { $_ => $opt{mapping}{$_} ? "OPTIONS ($opt{mapping}{$_})" : '' } qw(id at price name flag tags ratio day pad);

	kafka_create_topic($kafka, $name, $opt{partitions} || 3);
	$node->safe_psql('postgres', "CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka
	  OPTIONS (bootstrap_servers '$kafka->{bootstrap}', connect_timeout '30')")
	  unless $node->safe_psql('postgres', "SELECT 1 FROM pg_foreign_server WHERE srvname = 'kafka'") || $opt{server};
	$node->safe_psql('postgres', qq{
		CREATE FOREIGN TABLE ${name}_stream (id bigint $mapping{id}, at timestamptz $mapping{at}, price numeric(14,4) $mapping{price},
		    name text $mapping{name}, flag bool $mapping{flag}, tags text[] $mapping{tags}, ratio float8 $mapping{ratio},
		    day date $mapping{day}, pad text $mapping{pad},
		    sent_key bytea OPTIONS (metadata 'key'), sent_headers jsonb OPTIONS (metadata 'headers')$columns)
		  SERVER $server OPTIONS (topic '$name', $options);
		SELECT feathub.create_feature_group('$name', source => '${name}_stream', primary_key => '{id}', event_time => 'at'$arguments);
		CREATE TABLE ${name}_arrived (id bigint, sent_key bytea, sent_headers jsonb);
		SELECT feathub.create_job('${name}_arrived', source => '${name}_stream', sink => '${name}_arrived',
		  query => 'SELECT id, sent_key, sent_headers FROM batch');
	});
	return;
}

=item check_rows($node, $name, $what, %options)

Wait for both jobs, and test that every row has come once and unchanged, to the
offline and the online table.  Options: where => which rows were written, at =>
what became of their time.

=cut

sub check_rows
{
	my ($node, $name, $what, %opt) = @_;
	my $columns = 'id, at, price, name, flag, tags, ratio, day, md5(pad)';
	my $where = $opt{where} || 'true';
	my $at = $opt{at} || 'at';

	$node->safe_psql('postgres', "SELECT feathub.wait_for_job(j, timeout => '90 s') FROM unnest(ARRAY['$name', '${name}_arrived']) j");
	foreach my $table ($name, "${name}_online")
	{
		my $differ = sub {
			$node->safe_psql('postgres', "SELECT $columns FROM $_[0] EXCEPT ALL SELECT $columns FROM $_[1] ORDER BY id LIMIT 5")
		};
		my $rows = "(SELECT id, $at AS at, price, name, flag, tags, ratio, day, pad FROM client_row WHERE $where) r";

		is($differ->($rows, $table), '', "$what: all rows are in $table");
		is($differ->($table, $rows), '', "$what: and no others");
	}
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT id) FROM ${name}_arrived"),
		$node->safe_psql('postgres', "SELECT count(*), count(*) FROM client_row WHERE $where"), "$what: every record arrives once");
	is($node->safe_psql('postgres', "SELECT dead_letters, skipped, coalesce(last_error, '') FROM feathub.job_status WHERE job = '$name'"),
		'0|0|', "$what: no bad record");
	return;
}

=back

=cut

1;
