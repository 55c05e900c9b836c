# The random transactions of 316_mysql_cdc_random.pl on MySQL itself, with GTIDs
# of its kind and a first copy by watermarks.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

# what has to be loaded before anything runs
use FeathubTest;
use FeathubMysql;
use Test::More;

our %server = (product => 'mysql');
my $done = do "$FindBin::RealBin/316_mysql_cdc_random.pl";
die "could not run it: $@" unless defined $done;
