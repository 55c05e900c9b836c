# XA transactions on MySQL itself.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

# what has to be loaded before anything runs
use FeathubTest;
use FeathubMysql;
use Test::More;

our %server = (product => 'mysql');
my $done = do "$FindBin::RealBin/360_mysql_xa.pl";
die "could not run it: $@" unless defined $done;
