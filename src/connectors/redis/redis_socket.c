/*
 * redis_socket.c
 *		A non-blocking socket, with or without TLS.
 *
 * Every wait is on the process latch too, so that a cancel is answered at once.
 * Names are resolved by the system's resolver, as libpq does.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "connectors/redis/redis_socket.h"
#include "core/clock.h"
#include "core/compat.h"

/* Wake up now and then, whatever the timeout. */
#define MAX_WAIT_MS		10000

struct RedisSocket
{
	int			fd;
	bool		counted;		/* AcquireExternalFD has counted it */
	SSL		   *ssl;			/* NULL: no TLS */
	bool		want_write;		/* TLS must write before it can go on */
	char		reason[256];
};

static RedisSocket *open_address(const struct sockaddr *address, socklen_t len,
								 int family, TimestampTz deadline, char **reason);
static bool finish_connect(RedisSocket *socket, TimestampTz deadline, char **reason);
static bool start_tls(RedisSocket *socket, const RedisOptions *options,
					  const char *host, TimestampTz deadline, char **reason);
static SSL_CTX *make_context(const RedisOptions *options, char **reason);
static bool set_verification(SSL *ssl, const RedisOptions *options, const char *host);
static bool wait_before(RedisSocket *socket, bool for_write, TimestampTz deadline);
static ssize_t tls_result(RedisSocket *socket, int result);
static char *tls_reason(const char *what);

RedisSocket *
FeathubRedisSocketOpen(const RedisOptions *options, const char *host, int port,
					   TimestampTz deadline, char **reason)
{
	RedisSocket *volatile result = NULL;

	*reason = NULL;
	if (host == NULL)
	{
		struct sockaddr_un address;

		memset(&address, 0, sizeof(address));
		address.sun_family = AF_UNIX;
		if (strlen(options->unix_socket) >= sizeof(address.sun_path))
		{
			*reason = pstrdup("the path of the socket is too long");
			return NULL;
		}
		strlcpy(address.sun_path, options->unix_socket, sizeof(address.sun_path));
		result = open_address((struct sockaddr *) &address, sizeof(address), AF_UNIX,
							  deadline, reason);
	}
	else
	{
		struct addrinfo hints;
		struct addrinfo *list = NULL;
		char		service[16];
		int			status;

		memset(&hints, 0, sizeof(hints));
		hints.ai_family = AF_UNSPEC;
		hints.ai_socktype = SOCK_STREAM;
		snprintf(service, sizeof(service), "%d", port);
		status = getaddrinfo(host, service, &hints, &list);
		if (status != 0)
		{
			*reason = psprintf("could not translate host name \"%s\" to address: %s",
							   host, gai_strerror(status));
			return NULL;
		}
		PG_TRY();
		{
			for (struct addrinfo *a = list; a != NULL && result == NULL; a = a->ai_next)
				result = open_address(a->ai_addr, a->ai_addrlen, a->ai_family,
									  deadline, reason);
		}
		PG_FINALLY();
		{
			freeaddrinfo(list);
		}
		PG_END_TRY();
	}
	if (result == NULL || !options->tls)
		return result;

	PG_TRY();
	{
		if (!start_tls(result, options, host, deadline, reason))
		{
			FeathubRedisSocketClose(result);
			result = NULL;
		}
	}
	PG_CATCH();
	{
		FeathubRedisSocketClose(result);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return result;
}

void
FeathubRedisSocketClose(RedisSocket *sock)
{
	if (sock->ssl)
		SSL_free(sock->ssl);
	if (sock->fd >= 0)
		closesocket(sock->fd);
	if (sock->counted)
		ReleaseExternalFD();
	pfree(sock);
}

ssize_t
FeathubRedisSocketRead(RedisSocket *sock, char *buffer, Size size)
{
	ssize_t		n;

	if (sock->ssl)
	{
		ERR_clear_error();
		return tls_result(sock, SSL_read(sock->ssl, buffer, (int) Min(size, INT_MAX)));
	}
	do
		n = recv(sock->fd, buffer, size, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	strlcpy(sock->reason, n == 0 ? "the server closed the connection" : strerror(errno),
			sizeof(sock->reason));
	return -1;
}

ssize_t
FeathubRedisSocketWrite(RedisSocket *sock, const char *data, Size size)
{
	ssize_t		n;

	if (sock->ssl)
	{
		ERR_clear_error();
		return tls_result(sock, SSL_write(sock->ssl, data, (int) Min(size, INT_MAX)));
	}
	do
		n = send(sock->fd, data, size, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	strlcpy(sock->reason, strerror(errno), sizeof(sock->reason));
	return -1;
}

const char *
FeathubRedisSocketReason(RedisSocket *sock)
{
	return sock->reason;
}

void
FeathubRedisSocketWait(RedisSocket *sock, bool for_write, long timeout)
{
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | WL_SOCKET_READABLE;

	if (sock->ssl && SSL_pending(sock->ssl) > 0)
		return;
	if (for_write || sock->want_write)
		events |= WL_SOCKET_WRITEABLE;
	if (WaitLatchOrSocket(MyLatch, events, sock->fd, Min(Max(timeout, 0), MAX_WAIT_MS),
						  FEATHUB_WAIT_EVENT("FeathubRedis")) & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

bool
FeathubRedisSocketIsStale(RedisSocket *sock)
{
	char		byte;
	ssize_t		n = recv(sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	/* TLS has messages of its own (tickets), so bytes alone say nothing there */
	return n == 0 || (n > 0 && sock->ssl == NULL) ||
		(n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Connect to one address. */
static RedisSocket *
open_address(const struct sockaddr *address, socklen_t len, int family,
			 TimestampTz deadline, char **reason)
{
	RedisSocket *sock = palloc0(sizeof(RedisSocket));
	int			on = 1;
	bool		ok = false;

	sock->fd = -1;
	if (!AcquireExternalFD())
	{
		*reason = pstrdup("this process has too many open files");
		pfree(sock);
		return NULL;
	}
	sock->counted = true;
	sock->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0)
	{
		*reason = psprintf("could not create socket: %m");
		FeathubRedisSocketClose(sock);
		return NULL;
	}
	if (family != AF_UNIX)
	{
		(void) setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void) setsockopt(sock->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	PG_TRY();
	{
		if (connect(sock->fd, address, len) == 0)
			ok = true;
		else if (errno == EINPROGRESS || errno == EINTR)
			ok = finish_connect(sock, deadline, reason);
		else
			*reason = psprintf("%m");
	}
	PG_CATCH();
	{
		FeathubRedisSocketClose(sock);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (ok)
		return sock;
	FeathubRedisSocketClose(sock);
	return NULL;
}

/* Wait until a connection under way is made. */
static bool
finish_connect(RedisSocket *sock, TimestampTz deadline, char **reason)
{
	int			error = 0;
	socklen_t	len = sizeof(error);

	for (;;)
	{
		int			events;
		long		timeout = TimestampDifferenceMilliseconds(FeathubClock(), deadline);

		if (timeout <= 0)
		{
			*reason = pstrdup("timeout expired");
			return false;
		}
		events = WaitLatchOrSocket(MyLatch,
								   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | WL_SOCKET_WRITEABLE,
								   sock->fd, timeout, FEATHUB_WAIT_EVENT("FeathubRedisConnect"));
		if (events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		if (events & WL_SOCKET_WRITEABLE)
			break;
	}
	if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0)
		return true;
	*reason = pstrdup(strerror(error));
	return false;
}

/* Shake hands. */
static bool
start_tls(RedisSocket *sock, const RedisOptions *options, const char *host,
		  TimestampTz deadline, char **reason)
{
	SSL_CTX    *context = make_context(options, reason);

	if (context == NULL)
		return false;
	sock->ssl = SSL_new(context);
	/* the connection keeps its own reference */
	SSL_CTX_free(context);
	if (sock->ssl == NULL || SSL_set_fd(sock->ssl, sock->fd) != 1 ||
		!set_verification(sock->ssl, options, host))
	{
		*reason = tls_reason("could not set up TLS");
		return false;
	}
	for (;;)
	{
		int			result;
		int			status;

		ERR_clear_error();
		result = SSL_connect(sock->ssl);
		if (result == 1)
			return true;
		status = SSL_get_error(sock->ssl, result);
		if (status == SSL_ERROR_WANT_READ || status == SSL_ERROR_WANT_WRITE)
		{
			if (wait_before(sock, status == SSL_ERROR_WANT_WRITE, deadline))
				continue;
			*reason = pstrdup("timeout expired during the TLS handshake");
			return false;
		}
		if (SSL_get_verify_result(sock->ssl) != X509_V_OK)
			*reason = psprintf("certificate verify failed: %s",
							   X509_verify_cert_error_string(SSL_get_verify_result(sock->ssl)));
		else
			*reason = tls_reason("TLS handshake failed");
		ERR_clear_error();
		return false;
	}
}

/* Nobody can be asked for the passphrase of a key. */
static int
no_passphrase(char *buffer, int size, int for_writing, void *arg)
{
	return 0;
}

/* What the options say about certificates. */
static SSL_CTX *
make_context(const RedisOptions *options, char **reason)
{
	SSL_CTX    *context;

	ERR_clear_error();
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
	{
		*reason = tls_reason("could not set up TLS");
		return NULL;
	}
	(void) SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_verify(context, options->tls_verify == REDIS_VERIFY_NONE ?
					   SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (options->tls_ca_file != NULL ?
		SSL_CTX_load_verify_locations(context, options->tls_ca_file, NULL) != 1 :
		SSL_CTX_set_default_verify_paths(context) != 1)
		*reason = tls_reason(options->tls_ca_file ?
							 psprintf("could not read CA file \"%s\"", options->tls_ca_file) :
							 "could not read the system's CA certificates");
	else if (options->tls_cert_file &&
			 SSL_CTX_use_certificate_chain_file(context, options->tls_cert_file) != 1)
		*reason = tls_reason(psprintf("could not read certificate file \"%s\"",
									  options->tls_cert_file));
	else if (options->tls_cert_file &&
			 SSL_CTX_use_PrivateKey_file(context, options->tls_key_file ?
										 options->tls_key_file : options->tls_cert_file,
										 SSL_FILETYPE_PEM) != 1)
		*reason = tls_reason("could not read the key of the certificate");
	else
		return context;
	SSL_CTX_free(context);
	return NULL;
}

/* Whom the certificate must be made out to. */
static bool
set_verification(SSL *ssl, const RedisOptions *options, const char *host)
{
	const char *name = options->tls_server_name ? options->tls_server_name : host;
	unsigned char address[16];
	bool		is_address;

	if (name == NULL)
		name = "localhost";
	is_address = inet_pton(AF_INET, name, address) == 1 ||
		inet_pton(AF_INET6, name, address) == 1;
	if (!is_address && SSL_set_tlsext_host_name(ssl, name) != 1)
		return false;
	if (options->tls_verify != REDIS_VERIFY_FULL)
		return true;
	if (is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	return SSL_set1_host(ssl, name) == 1;
}

/* Wait for the socket; false if the deadline has passed. */
static bool
wait_before(RedisSocket *sock, bool for_write, TimestampTz deadline)
{
	long		timeout = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

	if (timeout <= 0)
		return false;
	events |= for_write ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
	if (WaitLatchOrSocket(MyLatch, events, sock->fd, timeout,
						  FEATHUB_WAIT_EVENT("FeathubRedisConnect")) & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* The result of SSL_read and SSL_write in the terms of our callers. */
static ssize_t
tls_result(RedisSocket *sock, int result)
{
	int			status;

	if (result > 0)
	{
		sock->want_write = false;
		return result;
	}
	status = SSL_get_error(sock->ssl, result);
	sock->want_write = status == SSL_ERROR_WANT_WRITE;
	if (status == SSL_ERROR_WANT_READ || status == SSL_ERROR_WANT_WRITE)
		return 0;
	if (status == SSL_ERROR_ZERO_RETURN)
		strlcpy(sock->reason, "the server closed the connection", sizeof(sock->reason));
	else
	{
		unsigned long code = ERR_get_error();

		const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

		strlcpy(sock->reason, reason ? reason : "the server closed the connection",
				sizeof(sock->reason));
	}
	ERR_clear_error();
	return -1;
}

/* A message with the library's reason. */
static char *
tls_reason(const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	char	   *result = reason ? psprintf("%s: %s", what, reason) : pstrdup(what);

	ERR_clear_error();
	return result;
}
