# FeathubSpark.pm
#	A session of Apache Spark that runs pieces of Python.
package FeathubSpark;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(spark_start spark spark_stop);

# What runs in the session's process: a piece after the other, all in the same
# globals; a line with its state follows what it printed.
my $driver = <<'EOP';
import os, sys, traceback
from pyspark.sql import SparkSession
options = {'spark.ui.enabled': 'false', 'spark.ui.showConsoleProgress': 'false', 'spark.driver.host': '127.0.0.1', 'spark.driver.bindAddress': '127.0.0.1',
  'spark.driver.memory': '600m', 'spark.driver.extraJavaOptions': '-XX:+UseSerialGC -XX:TieredStopAtLevel=1',
  'spark.local.dir': os.getcwd(), 'spark.sql.warehouse.dir': os.getcwd() + '/warehouse', 'spark.sql.session.timeZone': 'UTC',
  'spark.sql.shuffle.partitions': '2', 'spark.sql.parquet.int96RebaseModeInWrite': 'CORRECTED',
  'spark.sql.parquet.datetimeRebaseModeInWrite': 'CORRECTED'}
builder = SparkSession.builder.master('local[2]')
for name, value in options.items():
  builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel('ERROR')
known = {'os': os, 'spark': spark}
state = 'ready'
while True:
  print('\n#' + state, flush=True)
  code = ''
  for line in sys.stdin:
    if line == '#run\n':
      break
    code += line
  else:
    break
  try:
    exec(code, known)
    state = 'done'
  except Exception:
    traceback.print_exc()
    state = 'failed'
spark.stop()
EOP

my ($process, $in, $out, $err);

=pod

=over

=item spark_start($installation, $folder)

Start the session in a folder, with what client_folder('spark') returned.

=cut

sub spark_start
{
	my ($installation, $folder) = @_;
	my ($py4j) = glob("$installation/lib/py4j-*-src.zip");

	local %ENV = (
		%ENV,
		SPARK_HOME => "$installation/deps",
		PYTHONPATH => "$installation:$py4j",
		PYSPARK_PYTHON => 'python3',
		PYTHONIOENCODING => 'utf-8',
		SPARK_LOCAL_IP => '127.0.0.1',
		TZ => 'UTC');
	($in, $out, $err) = ('', '', '');
	$process = IPC::Run::start([ 'sh', '-c', 'cd "$0" && exec python3 -u -c "$1"', $folder, $driver ], '<', \$in, '>', \$out, '2>', \$err);
	_answer();
	return;
}

# What it printed until it was ready for more.
sub _answer
{
	$process->pump until $out =~ /\n#(?:ready|done|failed)\n/ || !$process->pumpable;
	$out =~ s/\A(.*?)\n#(\w+)\n//s or die "Spark ended: " . substr($err, -4000);
	my ($printed, $state) = ($1, $2);
	die 'Spark: ' . substr($err, -4000) if $state eq 'failed';
	$err = '';
	return $printed;
}

=item spark($code)

Run Python code, which knows the session as "spark" and what was defined
before; what it printed.  Dies with what it complained of.

=cut

sub spark
{
	my ($code) = @_;

	$in .= "$code\n#run\n";
	return _answer();
}

=item spark_stop()

End the session.

=cut

sub spark_stop
{
	return unless $process;
	$process->finish;
	undef $process;
	return;
}

END
{
	my $status = $?;

	$process->kill_kill if $process;
	$? = $status;
}

=back

=cut

1;
