# FeathubRegistry.pm
#	Schema registries for the TAP tests: Apicurio Registry, and one that only
#	pretends to be one and does what real ones do on bad days.
package FeathubRegistry;

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use File::Temp ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

use FeathubTest;

our @EXPORT = qw(registry_start mock_registry mock_schema mock_version mock_requests mock_down mock_up);

my $bin = File::Basename::dirname(File::Basename::dirname(Cwd::abs_path(__FILE__))) . '/bin';
my $pid = $$;
my (@registries, @mocks);

sub _folder
{
	return File::Temp::tempdir('registry_XXXXXX', DIR => $ENV{TESTDIR} || File::Spec->tmpdir, CLEANUP => 1);
}

=pod

=over

=item registry_start()

The base URL of a real registry on a free port, fetched by
src/test/bin/registry.sh, or nothing where it is not to be had.

=cut

sub registry_start
{
	my ($out, $err) = ('', '');

	if (!eval { IPC::Run::run([ "$bin/registry.sh", 'get' ], '<', \undef, '>', \$out, '2>', \$err) })
	{
		diag("no Apicurio Registry: $err$@");
		return;
	}
	foreach my $try (1 .. 3)
	{
		my $dir = _folder();
		my $port = free_port();
		my $status = system('bash', '-c', 'exec "$@" </dev/null >"$0" 2>&1', "$dir/up.log", "$bin/registry.sh", 'up', $dir, $port);

		push @registries, $dir;
		return "http://127.0.0.1:$port/apis/ccompat/v7" if $status == 0;
		diag(slurp_file("$dir/up.log"));
	}
	BAIL_OUT('could not start Apicurio Registry');
	return;
}

=item mock_registry()

A registry that has what mock_schema and mock_version put there: {http} and
{https} are its addresses, {mutual} one that wants a client's certificate, {ca},
{wrong_ca}, {cert} and {key} files.  The first part of a path tells how it
behaves: /ok, /500, /auth (user "user" with password "registry-secret", or
bearer token "registry-token"), /html, /garbage, /slow (never answers), /huge,
/same (redirects to /ok), /other (redirects to another host), /circle, and /flip,
which is as /ok but between mock_down and mock_up.

=cut

my $program = <<'EOP';
import base64, http.server, json, os, ssl, sys, threading, urllib.parse
folder = sys.argv[1]
log = open(folder + '/requests', 'a', buffering=1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def reply(self, status, body, kind='application/json', headers={}):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        for name in headers: self.send_header(name, headers[name])
        self.end_headers()
        self.wfile.write(body)
    def problem(self, status, code, text): self.reply(status, json.dumps({'error_code': code, 'message': text}))
    def file(self, path, code):
        try: self.reply(200, open(folder + path, 'rb').read())
        except FileNotFoundError: self.problem(404, code, 'not found')
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.answer(json.loads(body))
    def do_GET(self): self.answer(None)
    def answer(self, body):
        _, mode, path = (self.path.split('/', 2) + [''])[:3]
        path = '/' + path
        credentials = self.headers.get('Authorization') or '-'
        log.write('%s %s %s\n' % (self.command, self.path, credentials))
        if mode == '500' or (mode == 'flip' and os.path.exists(folder + '/down')): return self.problem(503, 50301, 'not today')
        if mode == 'auth' and credentials not in ('Basic ' + base64.b64encode(b'user:registry-secret').decode(), 'Bearer registry-token'):
            return self.problem(401, 401, 'who are you')
        if mode == 'html': return self.reply(404, '<html>no</html>', 'text/html')
        if mode == 'garbage': return self.reply(200, 'this is no JSON')
        if mode == 'slow':
            self.connection.settimeout(600)
            try: self.connection.recv(1)
            except OSError: pass
            self.close_connection = True
            return
        if mode == 'huge':
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                for i in range(1000): self.wfile.write(b'x' * 100000)
            except OSError: pass
            return
        if mode == 'same': return self.reply(307, '', headers={'Location': '/ok' + path})
        if mode == 'other': return self.reply(307, '', headers={'Location': 'http://localhost.invalid/ok' + path})
        if mode == 'circle': return self.reply(307, '', headers={'Location': self.path})
        if body is not None: return self.problem(409, 409, 'incompatible') if mode == 'ok' else self.problem(422, 42201, 'invalid')
        if path.startswith('/schemas/ids/'): return self.file(path, 40403)
        self.file(urllib.parse.unquote(path), 40401)
def serve(name, context=None):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    if context: server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(name, server.server_port, flush=True)
def tls(**options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + '/server.pem', folder + '/server.key')
    if options:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder + '/ca.pem')
    return context
serve('http')
serve('https', tls())
serve('mutual', tls(client=True))
print('ready', flush=True)
sys.stdin.read()
EOP

sub mock_registry
{
	my $dir = _folder();
	my $mock = { dir => $dir, input => '', output => '', error => '' };
	my $commands = q{
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=other -keyout other.key -out other.pem
for n in server client; do
	openssl req -newkey rsa:2048 -nodes -subj /CN=$n -keyout $n.key -out $n.csr
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
	openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $n.pem -extfile ext
done
mkdir -p schemas/ids subjects
};
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'bash', '-c', "cd '$dir'; $commands" ], '<', \undef, '>', \$out, '2>', \$err) or die "openssl: $err";
	append_to_file("$dir/mock.py", $program);
	$mock->{process} = IPC::Run::start([ 'python3', "$dir/mock.py", $dir ],
		'<', \$mock->{input}, '>', \$mock->{output}, '2>', \$mock->{error}, IPC::Run::timeout(300));
	push @mocks, $mock;
	$mock->{process}->pump until $mock->{output} =~ /ready/ || !$mock->{process}->pumpable;
	die "the registry did not start: $mock->{error}" unless $mock->{output} =~ /ready/;
	foreach my $name (qw(http https mutual))
	{
		my ($port) = $mock->{output} =~ /^$name (\d+)/m;

		$mock->{$name} = ($name eq 'http' ? 'http' : 'https') . "://127.0.0.1:$port";
	}
	@$mock{qw(ca wrong_ca cert key)} = map { "$dir/$_" } qw(ca.pem other.pem client.pem client.key);
	return $mock;
}

=item mock_schema($mock, $id, $json), mock_version($mock, $subject, $version, $json)

What it answers when asked for an id, and for a version of a subject.

=cut

sub _put
{
	my ($path, $json) = @_;

	mkdir File::Basename::dirname(File::Basename::dirname($path));
	mkdir File::Basename::dirname($path);
	append_to_file("$path.new", $json);
	rename "$path.new", $path or die "could not rename $path: $!";
	return;
}

sub mock_schema
{
	my ($mock, $id, $json) = @_;
	return _put("$mock->{dir}/schemas/ids/$id", $json);
}

sub mock_version
{
	my ($mock, $subject, $version, $json) = @_;
	return _put("$mock->{dir}/subjects/$subject/versions/$version", $json);
}

=item mock_requests($mock)

The requests since the last call: method, path and credentials of each.

=cut

sub mock_requests
{
	my ($mock) = @_;
	my $all = slurp_file("$mock->{dir}/requests");
	my $new = substr $all, $mock->{seen} || 0;

	$mock->{seen} = length $all;
	return $new;
}

=item mock_down($mock), mock_up($mock)

What is below /flip refuses, and answers again.

=cut

sub mock_down { append_to_file(shift->{dir} . '/down', ''); return; }
sub mock_up   { unlink shift->{dir} . '/down'; return; }

=back

=cut

END
{
	my $status = $?;

	if ($$ == $pid)
	{
		system("$bin/registry.sh", 'down', $_) foreach @registries;
		foreach my $mock (@mocks)
		{
			eval { $mock->{process}->kill_kill(grace => 1) };
		}
	}
	$? = $status;
}

1;
