# prove.pl JOBS TOTALS FILE...
#	Run TAP tests and write "passed failed skipped" to the file TOTALS: the
#	numbers of single tests, where a file that dies or has no plan is one more
#	failure.
use strict;
use warnings;
use TAP::Harness;

my ($jobs, $totals, @files) = @ARGV;
my $harness = TAP::Harness->new(
	{ verbosity => 0, jobs => $jobs, timer => 1, failures => 1, merge => 0 });
my $all = $harness->runtests(@files);

my ($passed, $failed, $skipped) =
  (scalar $all->passed, scalar $all->failed, scalar $all->skipped);
foreach my $p ($all->parsers)
{
	$skipped++ if $p->skip_all;
	$failed++
	  if !$p->failed && ($p->wait || $p->exit || $p->parse_errors);
}
open my $fh, '>', $totals or die "could not write $totals: $!";
print $fh "$passed $failed $skipped\n";
close $fh;
exit($failed ? 1 : 0);
