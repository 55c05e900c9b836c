# A replica that takes over, of MySQL itself; and MySQL without GTIDs.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

# what has to be loaded before anything runs
use FeathubTest;
use FeathubMysql;
use Test::More;

our %server = (product => 'mysql');
my $done = do "$FindBin::RealBin/362_mysql_failover.pl";
die "could not run it: $@" unless defined $done;
