# readme.pl: what readme.sh does to README.md.
#
#   readme.pl blocks README DIR      write each code block that is to be run to
#                                    DIR/NNN.sql or DIR/conf; print "role line file"
#   readme.pl reference README SRC   print README with the parts between
#                                    <!-- begin: name --> and <!-- end: name -->
#                                    made anew, from the catalog and the C tables
#
# A line before a block says how it is run:
#   <!-- run: superuser -->   as a superuser, not as the ordinary role
#   <!-- run: conf -->        lines of postgresql.conf
#   <!-- skip: reason -->     not at all
use strict;
use warnings;

# Where options stand, and what their tables are called.
my %place = (SERVER => 'server', USER_MAPPING => 'user mapping', TABLE => 'table', COLUMN => 'column', IMPORT => 'statement');
my %title = (
	FeathubFileOptions => 'FileSystem',
	FeathubKafkaOptions => 'Kafka',
	FeathubMysqlOptions => 'MySQL',
	FeathubMysqlImportOptions => 'IMPORT FOREIGN SCHEMA from MySQL',
	FeathubRedisOptions => 'Redis',
	FeathubRedisImportOptions => 'IMPORT FOREIGN SCHEMA from Redis',
	FeathubFileImportOptions => 'IMPORT FOREIGN SCHEMA from FileSystem',
	FeathubKafkaImportOptions => 'IMPORT FOREIGN SCHEMA from Kafka',
	common_options => 'All connectors',
	FeathubFormatOption => 'All connectors with formats',
	FeathubSchemaRegistryOptions => 'Schema registries, of Kafka',
	FeathubAvroFileOptions => 'Format avro',
	FeathubDebeziumAvroOptions => 'Format debezium-avro',
	FeathubHopsworksAvroOptions => 'Format hopsworks-avro',
	json_options => 'Format json',
	FeathubChangelogOptions => 'Formats debezium-json and maxwell-json',
	csv_options => 'Format csv',
	avro_options => 'Format avro',
	parquet_options => 'Format parquet',
	protobuf_options => 'Format protobuf',
	raw_options => 'Format raw');

my ($command, $readme, $dir) = @ARGV;
open my $in, '<', $readme or die "could not read $readme: $!";
my @lines = <$in>;
close $in;

if ($command eq 'blocks')
{
	blocks();
}
elsif ($command eq 'reference')
{
	print reference();
}
else
{
	die "unknown command \"$command\"";
}

sub blocks
{
	my ($how, $block, $begin, $language) = ('');
	my $n = 0;

	foreach my $i (0 .. $#lines)
	{
		my $line = $lines[$i];

		if (!defined $block)
		{
			if ($line =~ /^```(\w+)/)
			{
				($language, $block, $begin) = ($1, '', $i + 1);
			}
			elsif ($line =~ /^<!-- (?:run|skip): (.*) -->$/)
			{
				$how = $line =~ /^<!-- skip/ ? 'skip' : $1;
			}
			elsif ($line =~ /\S/)
			{
				$how = '';
			}
		}
		elsif ($line !~ /^```/)
		{
			$block .= $line;
		}
		else
		{
			my $role = $how eq 'superuser' ? 'postgres' : 'alice';

			die "$readme:$begin: cannot run \"$how\"\n" if $how !~ /^(|superuser|conf|skip)$/;
			if ($how eq 'conf')
			{
				write_file("$dir/conf", $block);
			}
			elsif ($language eq 'sql' && $how ne 'skip')
			{
				my $file = sprintf('%s/%03d.sql', $dir, ++$n);
				write_file($file, $block);
				print "$role $begin $file\n";
			}
			($how, $block) = ('', undef);
		}
	}
	die "$readme:$begin: block without end\n" if defined $block;
}

sub write_file
{
	my ($file, $text) = @_;
	open my $out, '>>', $file or die "could not write $file: $!";
	print $out $text;
	close $out or die "could not write $file: $!";
}

sub reference
{
	my %make = (
		functions => \&functions,
		settings => \&settings,
		views => \&views,
		connectors => \&connectors,
		options => \&options,
		properties => \&properties,
		denied => \&denied);
	my ($out, $name) = ('');

	foreach my $line (@lines)
	{
		if (defined $name)
		{
			next if $line !~ /^<!-- end: \Q$name\E -->$/;
			undef $name;
		}
		$out .= $line;
		if ($line =~ /^<!-- begin: (\w+) -->$/)
		{
			$name = $1;
			my $made = delete $make{$name} or die "no part \"$name\"\n";
			$out .= $made->();
		}
	}
	die "part \"$name\" does not end\n" if defined $name;
	check_names();
	die 'README lacks the part ' . join(', ', sort keys %make) . "\n" if %make;
	return $out;
}

# Files that are named must be there, and arguments be explained.
sub check_names
{
	my ($text, $made) = ('', 0);

	foreach my $line (@lines)
	{
		$made = 1 if $line =~ /^<!-- begin: /;
		$made = 0 if $line =~ /^<!-- end: /;
		$text .= $line if !$made;
	}
	foreach my $file ($text =~ m{(?<![\w/])((?:src|sql|\.ci)/[\w./]+\w)}g)
	{
		die "README names $file, which is not there\n" if !-e "$dir/$file";
	}
	my $map = slurp("$dir/src/README");
	foreach my $file (sort split /\n/, `cd "$dir/src" && find . -mindepth 2 -name '*.c*' ! -path './test/*' ! -name '*.o'`)
	{
		my ($name) = $file =~ m{([^/]+\.(?:c|cpp))$} or next;
		die "src/README does not tell what $name is for\n" if $map !~ /\b\Q$name\E/;
	}
	foreach my $row (query(q{
		SELECT DISTINCT unnest(p.proargnames[:p.pronargs]), p.proname FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
		 WHERE p.pronamespace = 'feathub'::regnamespace AND t.typname NOT IN ('trigger', 'event_trigger', 'fdw_handler')
		   AND p.pronargs > 0 AND p.proname !~ '_validator$|^job_is_local$'}))
	{
		die "README does not explain argument $row->[0] of feathub.$row->[1]\n"
		  if $text !~ /\b$row->[0]\b/;
	}
}

# Rows of a query; psql finds its server in the environment.
sub query
{
	my $sql = shift;
	open my $psql, '-|', 'psql', '-X', '-q', '-At', '-F', "\t", '-v', 'ON_ERROR_STOP=1', '-c', $sql or die "could not run psql: $!";
	my @rows = map { chomp; [ split /\t/, $_, -1 ] } <$psql>;
	close $psql or die "psql failed: $sql\n";
	die "no rows: $sql\n" if !@rows;
	return @rows;
}

# A table of Markdown.
sub table
{
	my ($head, @rows) = @_;
	my $out = '';

	foreach my $row ($head, [ map { '---' } @$head ], @rows)
	{
		$out .= '|' . join('|', map { s/\|/\\|/g; length $_ ? " $_ " : ' ' } my @copy = @$row) . "|\n";
	}
	return $out;
}

sub sentence
{
	my $text = shift;
	return $text =~ /[.?]$/ ? $text : "$text.";
}

sub functions
{
	# those that views, triggers and wrappers are made of are not for users
	my @rows = query(q{
		SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), obj_description(p.oid, 'pg_proc')
		  FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
		 WHERE p.pronamespace = 'feathub'::regnamespace AND t.typname NOT IN ('trigger', 'event_trigger', 'fdw_handler')
		   AND p.proname !~ '_validator$|_activity$|^job_is_local$|^backfills$|^connectors$'
		 ORDER BY 1, 2});
	my $out = '';

	foreach my $row (@rows)
	{
		my ($name, $arguments, $result, $comment) = @$row;
		my @out = $arguments =~ /OUT (\w+)/g;
		$arguments =~ s/,? *OUT \w+ [a-z ]+//g;
		$arguments =~ s/(NULL|'[^']*')::[a-z ]+(\[\])?/$1/g;
		$arguments =~ s/timestamp with time zone/timestamptz/g;
		$arguments =~ s/ DEFAULT / = /g;
		$result = '(' . join(', ', @out) . ')' if @out;
		$out .= "- `feathub.$name($arguments)` returns `$result`: " . sentence($comment) . "\n";
	}
	return $out;
}

sub settings
{
	my @rows = query(q{
		SELECT '`' || name || '`', vartype,
		       '`' || CASE boot_val WHEN '' THEN '''''' ELSE boot_val END || CASE WHEN unit IS NULL THEN '' ELSE ' ' || unit END || '`',
		       CASE WHEN vartype IN ('integer', 'real') THEN min_val || ' to ' || max_val WHEN vartype = 'enum' THEN array_to_string(enumvals, ', ') ELSE '' END,
		       CASE context WHEN 'postmaster' THEN 'start' WHEN 'sighup' THEN 'reload' ELSE context END,
		       short_desc || coalesce(' ' || extra_desc, '')
		  FROM pg_settings WHERE name LIKE 'feathub.%' ORDER BY name});
	return table([ 'setting', 'type', 'default', 'range', 'takes effect at', 'what it does' ], @rows);
}

sub views
{
	my $out = '';
	my @relations = query(q{
		SELECT c.relname, c.oid, obj_description(c.oid, 'pg_class'), has_table_privilege('alice', c.oid, 'SELECT')
		  FROM pg_class c WHERE c.relnamespace = 'feathub'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY 4 DESC, 1});

	foreach my $relation (@relations)
	{
		my ($name, $oid, $comment, $readable) = @$relation;
		if ($readable eq 't')
		{
			$out .= "#### feathub.$name\n\n" . ucfirst(sentence($comment)) . "\n\n";
			$out .= table([ 'column', 'type', 'meaning' ], query(qq{
				SELECT '`' || attname || '`', replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz'),
				       coalesce(col_description(attrelid, attnum),
				         (SELECT min(col_description(b.attrelid, b.attnum))
				            FROM pg_attribute b JOIN pg_class c ON c.oid = b.attrelid
				           WHERE c.relnamespace = 'feathub'::regnamespace AND b.attname = a.attname
				             AND c.relname IN ('job', 'job_status', 'worker')), '')
				  FROM pg_attribute a WHERE attrelid = $oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum})) . "\n";
		}
		else
		{
			$out .= "Internal: `feathub.$name`, $comment.\n\n";
		}
	}
	return $out;
}

# What connectors can do, a line for each capability.
sub connectors
{
	my ($names) = query(q{SELECT string_agg(connector, ' ' ORDER BY connector) FROM feathub.connector});
	my @names = split / /, $names->[0];
	my @rows = query(q{
		SELECT replace(attname, '_', ' ') || ': ' || col_description(attrelid, attnum),
		       (SELECT string_agg(CASE WHEN to_jsonb(c) ->> attname::text = 'true' THEN 'yes' ELSE '–' END, ' ' ORDER BY connector)
		          FROM feathub.connector c)
		  FROM pg_attribute WHERE attrelid = 'feathub.connector'::regclass AND atttypid = 'bool'::regtype ORDER BY attnum});

	return table([ 'capability', @names ], map { [ $_->[0], split / /, $_->[1] ] } @rows);
}

# The text of a C file.
sub slurp
{
	my $file = shift;
	open my $fh, '<', $file or die "could not read $file: $!";
	local $/;
	return scalar <$fh>;
}

sub unescape
{
	my $text = shift;
	$text =~ s/\\(.)/$1/g;
	return $text;
}

# Every table of options of the source tree, so that a new one cannot be missed.
sub options
{
	my $out = '';
	my $string = qr/"((?:[^"\\]|\\.)*)"/;
	my (%tables, %values, %format);

	foreach my $file (sort split /\n/, `find "$dir/src" -name '*.c' ! -path '*/test/*'`)
	{
		my $text = slurp($file);
		# rows that several tables begin with
		while ($text =~ /^#define (\w+_OPTIONS) \\\n((?:.*\\\n)*.*)/gm)
		{
			my ($name, $body) = ($1, $2);
			$body =~ s/ \\$//gm;
			$text =~ s/^\t$name,$/$body,/gm;
		}
		$format{$1} = $2 if $text =~ /const FeathubConnector \w+ = \{\s*\.name = "(\w+)".*\.default_format = "(\w+)"/s;
		while ($text =~ /const FeathubOptionValue (\w+)\[\] = \{(.*?)\n\};/gs)
		{
			my ($name, $body) = ($1, $2);
			$values{$name} = [ $body =~ /\{$string/g ];
		}
		while ($text =~ /const FeathubOption (\w+)\[\] = \{\n(.*?)\n\};/gs)
		{
			my ($name, $body) = ($1, $2);
			$tables{$name} = $body if $body !~ /PROPERTY\(/;
		}
	}
	foreach my $name (sort { ($title{$a} || $a) cmp($title{$b} || $b) } keys %tables)
	{
		my @rows;
		while ($tables{$name} =~ /\n?\t\{\n\t\t$string, ([A-Z_| ]+), FEATHUB_OPTION_(\w+),(.*?)\n\t\}/gs)
		{
			my ($option, $where, $type, $rest) = ($1, $2, $3, $4);
			my %of = map { /\.(\w+) = (.*)/s ? ($1, $2) : () } split /,\s*(?=\.\w+ =)/, $rest;
			my ($default) = ($of{default_value} || '') =~ /$string/;
			my ($description) = ($of{description} || '') =~ /$string/;
			my $takes = lc $type;

			$where = join ', ', map { $place{$_} || die "$_?" } $where =~ /FEATHUB_ON_(\w+)/g;
			$takes = join ', ', map { "`$_`" } @{ $values{ $of{values} } || die "no values of $option\n" } if $type eq 'ENUM';
			$takes = 'boolean' if $type eq 'BOOL';
			$takes = 'one character' if $type eq 'CHAR';
			$takes = 'number' if $type eq 'FLOAT';
			if (defined $of{min})
			{
				my ($min, $max) = map { /(-?\d+)\D*$/ ? $1 : $_ } @of{qw(min max)};
				$takes .= ", $min to $max";
			}
			$default = !defined $default ? '' : $default eq '' ? "`''`" : '`' . unescape($default) . '`';
			$default = 'required' if ($of{flags} || '') =~ /REQUIRED/;
			$default = join ', ', map { "`$format{$_}` ($_)" } sort keys %format if $name eq 'FeathubFormatOption';
			push @rows, [ "`$option`", $where, $takes, $default, unescape($description) ];
		}
		die "no options in $name\n" if !@rows;
		$out .= '#### ' . ($title{$name} || $name) . "\n\n";
		$out .= table([ 'option', 'stands at', 'takes', 'default', 'meaning' ], @rows) . "\n";
	}
	return $out;
}

sub properties
{
	my $text = slurp("$dir/src/connectors/kafka/kafka_options.c");
	my %where = (ON_S => 'Server', ON_U => 'User mapping', ON_SU => 'Server or user mapping', ON_ST => 'Server or table');
	my (%names, $out);

	push @{ $names{$2} }, "`$1`" . ($3 =~ /SECRET/ ? ' (secret)' : $3 =~ /FILE_/ ? ' (file)' : '')
	  while $text =~ /^\tPROPERTY\("([^"]+)", (\w+), (\w+)\)/gm;
	push @{ $names{$2} }, "`$1`" while $text =~ /\.name = "([^"]+)", \.where = (\w+),/g;
	$out .= "- $where{$_}: " . join(', ', sort @{ $names{$_} }) . ".\n" foreach sort keys %where;
	return $out;
}

sub denied
{
	my $text = slurp("$dir/src/connectors/kafka/kafka_options.c");
	my ($list) = $text =~ /denied_properties\[\] =\s*\{(.*?)\n\};/s or die 'no denied_properties';
	my %names;

	push @{ $names{ unescape($2) } }, "`$1`" while $list =~ /\{"([^"]+)", "((?:[^"\\]|\\.)*)"\}/g;
	return table([ 'not allowed', 'because' ],
		map { [ join(', ', @{ $names{$_} }), $_ ] } sort { $names{$a}[0] cmp $names{$b}[0] } keys %names);
}
