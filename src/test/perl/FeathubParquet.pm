# FeathubParquet.pm
#	Other programs that read and write parquet and avro, for tests.
package FeathubParquet;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(parquet_python python_in);

my $python;

=pod

=over

=item parquet_python(%options)

Find the Python interpreter that has pyarrow, duckdb and fastavro, made by
src/test/bin/parquet.sh.  Skips the file if it is not there, or if this build
has no parquet, unless told build => 0.

=cut

sub parquet_python
{
	my %opt = @_;
	my $venv = $ENV{FEATHUB_PARQUET_VENV} || '';
	my ($lib, $err);

	plan(skip_all => 'pyarrow, duckdb and fastavro could not be installed')
	  unless $venv ne '' && -x "$venv/bin/python3";
	IPC::Run::run([ 'pg_config', '--pkglibdir' ], '>', \$lib, '2>', \$err);
	chomp $lib;
	plan(skip_all => 'this build has no parquet: Apache Arrow was not found')
	  unless -e "$lib/feathub_parquet.so" || (defined $opt{build} && !$opt{build});
	$python = "$venv/bin/python3";
	return;
}

=item python_in($folder, $code)

Run code in a folder; what it printed.  Dies with what it complained of.

=cut

sub python_in
{
	my ($folder, $code) = @_;
	my ($out, $err) = ('', '');

	local @ENV{qw(FOLDER PYTHONIOENCODING)} = ($folder, 'utf-8');
	$code = "import os\nos.chdir(os.environ['FOLDER'])\n$code";
	IPC::Run::run([ $python, '-' ], '<', \$code, '>', \$out, '2>', \$err) or die "python: $err";
	return $out;
}

=back

=cut

1;
