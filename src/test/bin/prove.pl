# prove.pl JOBS LIMIT TOTALS FILE...
#	Run TAP tests and write "passed failed skipped" to the file TOTALS: the
#	numbers of single tests, where a file that dies or has no plan is one more
#	failure.  A file is stopped after LIMIT seconds.
use strict;
use warnings;
use TAP::Harness;

my ($jobs, $limit, $totals, @files) = @ARGV;
my $harness = TAP::Harness->new(
	{ verbosity => 0, jobs => $jobs, timer => 1, failures => 1, merge => 0,
		exec => [ 'timeout', '--kill-after=20', $limit, $^X ] });
my $all = $harness->runtests(@files);

my ($passed, $failed, $skipped) =
  (scalar $all->passed, scalar $all->failed, scalar $all->skipped);
$passed -= $skipped;			# TAP says "ok # skip"

foreach my $p ($all->parsers)
{
	$skipped++ if $p->skip_all;
	$failed++
	  if !$p->failed && ($p->wait || $p->exit || $p->parse_errors);
}

# where a file failed, its log's end
foreach my $name ($all->descriptions)
{
	my ($p) = $all->parsers($name);
	next unless $p->failed || $p->wait || $p->exit || $p->parse_errors;
	my ($base) = $name =~ m{([^/]+)\.pl$};
	my ($log) = grep { -e } map { "$_/regress_log_$base" }
	  ("$ENV{TESTDIR}/tmp_check/log", $ENV{TESTLOGDIR}, "$ENV{TESTDIR}/log");
	next unless $log && open my $in, '<', $log;
	my @lines = <$in>;
	splice(@lines, 0, -40) if @lines > 40;
	print "== the end of $log\n", map { substr($_, 0, 500) . (length($_) > 500 ? "\n" : '') } @lines;
}
open my $fh, '>', $totals or die "could not write $totals: $!";
print $fh "$passed $failed $skipped\n";
close $fh;
exit($failed ? 1 : 0);
