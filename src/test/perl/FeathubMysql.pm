# FeathubMysql.pm
#	A private MariaDB, or MySQL, for TAP tests.
#
#	use FeathubMysql;
#
#	my $mysql = mysql_start();              # skips the file if there is none
#	mysql_query($mysql, 'CREATE TABLE shop.t (a int)');
#	mysql_server($node, $mysql);            # CREATE SERVER mysql, mapping
#
# The server listens on a free port of the loopback interface and is ended when
# the test ends.  Database "shop" and user fh (password fh-secret) are there.
# FEATHUB_MYSQL=port:user:password takes a server that runs on the loopback
# interface instead, for instance MySQL; its database "shop" is made anew.  Files
# that need MariaDB's own (sequences as tables), or that stop the server, fail.
package FeathubMysql;

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use IPC::Run ();
use POSIX ();
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  mysql_start
  mysql_stop
  mysql_kill
  mysql_restart
  mysql_pause
  mysql_continue
  mysql_query
  mysql_start_query
  mysql_end_dumps
  mysql_purge
  mysql_server
);

my @servers;
my %fresh;						# folders with data of servers that never ran, by product

# The first of these programs that is there.
sub _program
{
	foreach my $name (@_)
	{
		foreach my $dir (split(/:/, $ENV{PATH} . ':/usr/sbin:/usr/bin:/usr/local/sbin'))
		{
			return "$dir/$name" if -x "$dir/$name";
		}
	}
	return undef;
}

=pod

=over

=item mysql_start(tls => 1, options => [ '--...' ], product => 'mysql')

Start a server: a reference to a hash with port, and with tls the files ca,
wrong_ca, and cert and key, by which a client may be known too.  It is MariaDB, or with product MySQL, which test.sh has unpacked
(bin/mysql.sh).  With more => 1 the next server of the product begins with a copy of
the data that this one was made with, which is quicker.  Skips the whole test if there
is no server program.

=cut

sub mysql_start
{
	my %opt = @_;
	my $mariadbd = _program('mariadbd');
	my $install = _program('mariadb-install-db', 'mysql_install_db');

	plan(skip_all => 'no MariaDB server (package mariadb-server-core)')
	  unless $mariadbd && $install;
	plan(skip_all => 'no MariaDB client (package mariadb-client-core)')
	  unless _program('mariadb');

	if ($ENV{FEATHUB_MYSQL})
	{
		my ($port, $user, $password) = split(/:/, $ENV{FEATHUB_MYSQL});
		my $server = { port => $port, connect => [ '-h127.0.0.1', "-P$port", "-u$user", "-p$password" ] };

		mysql_query($server, q{
			DROP DATABASE IF EXISTS shop; CREATE DATABASE shop CHARACTER SET utf8mb4;
			CREATE USER IF NOT EXISTS fh@'%' IDENTIFIED BY 'fh-secret';
		});
		return $server;
	}

	# a socket's path must be short
	my $dir = File::Temp::tempdir('fhmyXXXX', DIR => '/tmp');
	my $server = { dir => $dir, pid => undef, owner => $$, program => [ $mariadbd, '--no-defaults' ],
		options => $opt{options} || [], restricted => '' };
	push @servers, $server;
	if (($opt{product} || '') eq 'mysql')
	{
		my $tree = $ENV{FEATHUB_MYSQL_TREE} || '';
		my ($loader) = glob("$tree/usr/lib/*/ld-linux-*.so.*");

		plan(skip_all => 'no MySQL server (src/test/bin/mysql.sh)') unless $tree && $loader;
		(my $libraries = $loader) =~ s{/[^/]*$}{};
		$server->{mysql} = 1;
		$server->{program} = [ $loader, '--library-path', "$libraries:$tree/usr/lib/mysql/private",
			"$tree/usr/sbin/mysqld", '--no-defaults', "--basedir=$tree/usr", '--mysqlx=OFF',
			'--secure-file-priv=' ];
	}
	if (my $data = delete $fresh{ $opt{product} || '' })
	{
		rename($data, "$dir/data") or BAIL_OUT("could not rename $data: $!");
	}
	elsif ($server->{mysql})
	{
		# these files need to outlive a crash of the server, not of the machine
		_run([ @{ $server->{program} }, "--datadir=$dir/data", '--initialize-insecure',
				'--innodb-flush-method=nosync', '--skip-innodb-doublewrite', '--skip-log-bin' ], 'mysqld --initialize');
	}
	else
	{
		# a server that starts deletes what it takes for its own in a shared folder
		local $ENV{TMPDIR} = $dir;
		_run([ $install, '--no-defaults', "--datadir=$dir/data", '--skip-test-db',
				'--auth-root-authentication-method=normal' ], 'mariadb-install-db');
	}
	if ($opt{more})
	{
		_run([ 'cp', '-a', "$dir/data", "$dir/fresh" ], 'cp');
		# by which a server is known
		unlink "$dir/fresh/auto.cnf";
		$fresh{ $opt{product} || '' } = "$dir/fresh";
	}
	_make_certificates($server) if $opt{tls};
	_up($server);
	mysql_query($server, q{
		CREATE DATABASE shop CHARACTER SET utf8mb4;
		CREATE USER fh@'%' IDENTIFIED BY 'fh-secret';
		GRANT ALL ON *.* TO fh@'%' WITH GRANT OPTION;
	});
	return $server;
}

sub _run
{
	my ($command, $what) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err)
	  or BAIL_OUT("$what failed: $out$err");
	return $out;
}

sub _make_certificates
{
	my $server = shift;
	my $dir = $server->{dir};

	foreach my $name ('ca', 'wrong_ca')
	{
		_run([ qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj), "/CN=feathub test $name",
				'-keyout', "$dir/$name.key", '-out', "$dir/$name.pem" ], 'openssl');
		$server->{$name} = "$dir/$name.pem";
	}
	_run([ qw(openssl req -newkey rsa:2048 -nodes -subj /CN=localhost),
			'-keyout', "$dir/server.key", '-out', "$dir/server.csr" ], 'openssl');
	open my $ext, '>', "$dir/server.ext" or die $!;
	print $ext "subjectAltName=DNS:localhost\n";
	close $ext;
	_run([ qw(openssl x509 -req -days 2 -set_serial 1 -in), "$dir/server.csr", '-CA', "$dir/ca.pem",
			'-CAkey', "$dir/ca.key", '-extfile', "$dir/server.ext", '-out', "$dir/server.pem" ],
		'openssl');
	$server->{$_->[0]} = "$dir/$_->[1]" foreach ([ cert => 'server.pem' ], [ key => 'server.key' ]);
	push @{ $server->{options} }, "--ssl-ca=$dir/ca.pem", "--ssl-cert=$dir/server.pem",
	  "--ssl-key=$dir/server.key";
}

# Start the program and wait until it answers.
sub _up
{
	my $server = shift;
	my $dir = $server->{dir};

	foreach my $try (1 .. 3)
	{
		$server->{port} ||= free_port();
		my $pid = fork();
		die "could not fork: $!" unless defined $pid;
		if ($pid == 0)
		{
			POSIX::setsid();
			open STDIN, '<', '/dev/null';
			open STDOUT, '>>', "$dir/log";
			open STDERR, '>&', \*STDOUT;
			exec(@{ $server->{program} }, "--datadir=$dir/data", "--tmpdir=$dir", "--socket=$dir/s",
				"--pid-file=$dir/pid", '--bind-address=127.0.0.1', "--port=$server->{port}",
				'--server-id=1', '--innodb-buffer-pool-size=64M', '--innodb-flush-log-at-trx-commit=2',
				$server->{mysql} ? '--innodb-redo-log-capacity=64M' : '--innodb-log-file-size=32M',
				'--performance-schema=OFF',
				@{ $server->{options} }) or POSIX::_exit(127);
		}
		$server->{pid} = $pid;
		for (1 .. 600)
		{
			return if -S "$dir/s" && eval { mysql_query($server, 'SELECT 1') };
			last if waitpid($pid, POSIX::WNOHANG()) == $pid;
			Time::HiRes::sleep(0.1);
		}
		# perhaps someone else took the port
		kill 'KILL', $pid;
		waitpid($pid, 0);
		$server->{pid} = undef;
		delete $server->{port};
	}
	BAIL_OUT('could not start the server: ' . slurp_file("$dir/log"));
}

=item mysql_stop, mysql_kill, mysql_restart, mysql_pause, mysql_continue

End the server, end it as a crash does, start it again on the same port, let it
hang, let it go on.

=cut

sub mysql_stop
{
	my $server = shift;
	return unless $server->{pid};
	kill 'TERM', $server->{pid};
	waitpid($server->{pid}, 0);
	$server->{pid} = undef;
}

sub mysql_kill
{
	my $server = shift;
	return unless $server->{pid};
	kill 'KILL', $server->{pid};
	waitpid($server->{pid}, 0);
	$server->{pid} = undef;
}

sub mysql_restart
{
	my $server = shift;
	_up($server);
}

sub mysql_pause { return pause_process($_[0]->{pid}) }
sub mysql_continue { kill 'CONT', $_[0]->{pid} }

=item mysql_query($server, $sql)

Run statements as root through the socket; the output is that of mariadb -N.

=cut

sub mysql_query
{
	my ($server, $sql) = @_;
	my ($out, $err) = ('', '');

	my @connect = $server->{connect} ? @{ $server->{connect} } : ('-S', "$server->{dir}/s", '-uroot');

	IPC::Run::run([ _program('mariadb'), '--no-defaults', @connect, '-N', '-B',
			'--default-character-set=utf8mb4' ], '<', \$sql, '>', \$out, '2>', \$err)
	  or die "mariadb: $err";
	chomp $out;
	return $out;
}

=item mysql_start_query($server, $sql)

The same in the background; a harness of IPC::Run to finish.

=cut

sub mysql_start_query
{
	my ($server, $sql) = @_;
	my @connect = $server->{connect} ? @{ $server->{connect} } : ('-S', "$server->{dir}/s", '-uroot');

	return IPC::Run::start([ _program('mariadb'), '--no-defaults', @connect, '-N', '-B',
			'--default-character-set=utf8mb4' ], '<', \$sql);
}

=item mysql_purge($server, $file)

Remove the binary logs before one.  MariaDB keeps, without a word, those that its
engines have not said they can do without; and every server keeps one that somebody
reads, of whom it may take a while to notice that he has gone: after some tries all
reading is ended, and whoever is there begins again.

=cut

sub mysql_purge
{
	my ($server, $file) = @_;
	my $logs;

	for my $try (1 .. 600)
	{
		mysql_query($server, "PURGE BINARY LOGS TO '$file'");
		$logs = mysql_query($server, 'SHOW BINARY LOGS');
		return if (split ' ', $logs)[0] eq $file;
		mysql_end_dumps($server) if $try % 100 == 0;
		Time::HiRes::usleep(100_000);
	}
	die "the binary logs before $file are still there:\n$logs";
}

=item mysql_end_dumps($server)

End whatever reads the binary log at the moment.

=cut

sub mysql_end_dumps
{
	my $server = shift;

	foreach my $id (split ' ', mysql_query($server, "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"))
	{
		eval { mysql_query($server, "KILL $id") };	# it may be gone by now
	}
	return;
}

=item mysql_server($node, $server, $options)

CREATE SERVER mysql and a user mapping for the superuser.

=cut

sub mysql_server
{
	my ($node, $server, $options) = @_;
	$node->safe_psql('postgres', qq{
		CREATE SERVER mysql FOREIGN DATA WRAPPER feathub_mysql
		  OPTIONS (host '127.0.0.1', port '$server->{port}', database 'shop'} . ($options || '') . qq{);
		CREATE USER MAPPING FOR CURRENT_USER SERVER mysql OPTIONS (user 'fh', password 'fh-secret');
	});
}

=back

=cut

END
{
	# take care not to change the exit status
	my $status = $?;

	foreach my $server (@servers)
	{
		next if $server->{owner} != $$;
		if ($server->{pid})
		{
			kill 'CONT', $server->{pid};
			kill 'KILL', $server->{pid};
			waitpid($server->{pid}, 0);
		}
		system('rm', '-rf', $server->{dir});
	}
	$? = $status;
}

1;
