/*
 * http_client.c
 *		One HTTP request, interruptible, on libcurl.
 *
 * The library's multi interface never waits by itself: we do, for its sockets
 * and the process latch.  Names are resolved in a thread that it starts; that
 * inherits a mask without signals, since ours must not be handled there, and is
 * left to itself if a request ends before it does.
 */
#include "postgres.h"

#ifdef FEATHUB_WITH_CURL
#include <signal.h>
#include <curl/curl.h>
#endif

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "formats/http_client.h"

#ifdef FEATHUB_WITH_CURL

/* ms: waiting for a name, which has no socket, and for anything at all */
#define NAME_WAIT 10
#define MAX_WAIT 500

typedef struct Transfer
{
	CURLM	   *multi;
	CURL	   *easy;
	struct curl_slist *headers;
	bool		added;			/* easy is in multi */
	bool		counted;		/* ReserveExternalFD has counted it */
	char	   *data;			/* malloc'd: the library's callback fills it */
	Size		len;
	Size		allocated;
	Size		limit;
	bool		too_long;
	char		error[CURL_ERROR_SIZE];
} Transfer;

/* Block every signal while the library may start threads; returns the old mask. */
static sigset_t
block_signals(void)
{
	sigset_t	all;
	sigset_t	old;

	sigfillset(&all);
	(void) pthread_sigmask(SIG_SETMASK, &all, &old);
	return old;
}

static void
restore_signals(const sigset_t *mask)
{
	(void) pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* Callback of the memory context. */
static void
end_transfer(void *arg)
{
	Transfer   *transfer = arg;
	sigset_t	mask = block_signals();

	if (transfer->added)
		(void) curl_multi_remove_handle(transfer->multi, transfer->easy);
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	if (transfer->multi)
		(void) curl_multi_cleanup(transfer->multi);
	curl_slist_free_all(transfer->headers);
	free(transfer->data);
	restore_signals(&mask);
	if (transfer->counted)
		ReleaseExternalFD();
}

/* The library's: keep bytes of the answer.  Raises nothing. */
static size_t
keep_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;

	n *= size;
	if (n > transfer->limit - transfer->len)
	{
		transfer->too_long = true;
		return 0;
	}
	if (transfer->len + n + 1 > transfer->allocated)
	{
		Size		wanted = (transfer->len + n + 1) * 2;
		char	   *data = realloc(transfer->data, wanted);

		if (data == NULL)
			return 0;
		transfer->data = data;
		transfer->allocated = wanted;
	}
	memcpy(transfer->data + transfer->len, bytes, n);
	transfer->len += n;
	return n;
}

static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory")));
}

static void
add_header(Transfer *transfer, const char *header)
{
	struct curl_slist *list = curl_slist_append(transfer->headers, header);

	if (list == NULL)
		out_of_memory();
	transfer->headers = list;
}

/* An option whose value the library copies. */
static void
set_string(Transfer *transfer, CURLoption option, const char *value)
{
	if (value && curl_easy_setopt(transfer->easy, option, value) == CURLE_OUT_OF_MEMORY)
		out_of_memory();
}

/* Only these protocols, whatever the library was built with. */
static void
set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	(void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void) curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* do not wait for the thread that resolves a name */
	(void) curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void
set_security(Transfer *transfer, const FeathubHttpRequest *request)
{
	CURL	   *easy = transfer->easy;

	(void) curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request->verify ? 1L : 0L);
	(void) curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request->verify ? 2L : 0L);
	(void) curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	/* nobody else is trusted then: many builds have a folder of authorities too */
	if (request->ca_file || request->ca_pem)
		(void) curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	set_string(transfer, CURLOPT_CAINFO, request->ca_file);
	if (request->ca_pem)
	{
#if LIBCURL_VERSION_NUM >= 0x074d00
		struct curl_blob blob = {
			.data = unconstify(char *, request->ca_pem), .len = strlen(request->ca_pem),
			.flags = CURL_BLOB_COPY
		};

		if (curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OUT_OF_MEMORY)
			out_of_memory();
#else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this build of feathub cannot trust certificates that are given as text"),
				 errdetail("libcurl %s is older than 7.77.", LIBCURL_VERSION),
				 errhint("Use option \"%s\".", "schema_registry_ca_file")));
#endif
	}
	set_string(transfer, CURLOPT_SSLCERT, request->cert_file);
	set_string(transfer, CURLOPT_SSLKEY, request->key_file);
	set_string(transfer, CURLOPT_KEYPASSWD, request->key_password);
	if (request->username)
	{
		(void) curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		set_string(transfer, CURLOPT_USERNAME, request->username);
		set_string(transfer, CURLOPT_PASSWORD, request->password ? request->password : "");
	}
	else if (request->token)
		add_header(transfer, psprintf("Authorization: Bearer %s", request->token));
}

static Transfer *
begin_transfer(const FeathubHttpRequest *request)
{
	Transfer   *transfer = palloc0(sizeof(Transfer));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	callback->func = end_transfer;
	callback->arg = transfer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	transfer->limit = request->limit;
	ReserveExternalFD();
	transfer->counted = true;
	transfer->multi = curl_multi_init();
	transfer->easy = curl_easy_init();
	if (transfer->multi == NULL || transfer->easy == NULL)
		out_of_memory();

	set_protocols(transfer->easy);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, transfer->error);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, keep_bytes);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long) request->timeout);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->timeout);
	set_string(transfer, CURLOPT_PROXY, "");
	set_string(transfer, CURLOPT_USERAGENT, "feathub");
	set_string(transfer, CURLOPT_URL, request->url);
	set_security(transfer, request);
	add_header(transfer, psprintf("Accept: %s", request->content_type));
	if (request->body)
	{
		add_header(transfer, psprintf("Content-Type: %s", request->content_type));
		add_header(transfer, "Expect:");
		set_string(transfer, CURLOPT_COPYPOSTFIELDS, request->body);
	}
	(void) curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	if (curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
		out_of_memory();
	transfer->added = true;
	return transfer;
}

/* Sleep until a socket of the library is ready or it wants to be called. */
static void
wait_for_library(Transfer *transfer)
{
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	pgsocket	sock = PGINVALID_SOCKET;
	int			nsockets = 0;
	long		timeout = -1;
	int			highest = -1;
	fd_set		readable;
	fd_set		writable;
	fd_set		broken;

	FD_ZERO(&readable);
	FD_ZERO(&writable);
	FD_ZERO(&broken);
	(void) curl_multi_fdset(transfer->multi, &readable, &writable, &broken, &highest);
	(void) curl_multi_timeout(transfer->multi, &timeout);
	for (int fd = 0; fd <= highest; fd++)
	{
		if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable))
			continue;
		nsockets++;
		sock = fd;
	}
	if (timeout < 0 || timeout > MAX_WAIT)
		timeout = MAX_WAIT;
	/* two addresses are tried at once, or a name is being resolved */
	if (nsockets != 1)
		timeout = Min(timeout, NAME_WAIT);
	else
		events |= (FD_ISSET(sock, &readable) ? WL_SOCKET_READABLE : 0) |
			(FD_ISSET(sock, &writable) ? WL_SOCKET_WRITEABLE : 0);
	if (timeout > 0)
	{
		int			happened = nsockets == 1 ?
			WaitLatchOrSocket(MyLatch, events, sock, timeout,
							  FEATHUB_WAIT_EVENT("FeathubSchemaRegistry")) :
			WaitLatch(MyLatch, events, timeout, FEATHUB_WAIT_EVENT("FeathubSchemaRegistry"));

		if (happened & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
	CHECK_FOR_INTERRUPTS();
}

/* Run a transfer to its end; the library's code. */
static CURLcode
run_transfer(Transfer *transfer)
{
	for (;;)
	{
		sigset_t	mask = block_signals();
		int			running = 0;
		CURLMcode	status = curl_multi_perform(transfer->multi, &running);
		CURLMsg    *message;
		int			left;

		restore_signals(&mask);
		if (status != CURLM_OK)
			return CURLE_FAILED_INIT;
		while ((message = curl_multi_info_read(transfer->multi, &left)) != NULL)
		{
			if (message->msg == CURLMSG_DONE)
				return message->data.result;
		}
		wait_for_library(transfer);
	}
}

bool
FeathubHttpPerform(const FeathubHttpRequest *request, FeathubHttpResponse *response)
{
	static bool initialised = false;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	Transfer   *transfer;
	CURLcode	code;
	char	   *redirect = NULL;

	memset(response, 0, sizeof(FeathubHttpResponse));
	if (!initialised)
	{
		sigset_t	mask = block_signals();

		code = curl_global_init(CURL_GLOBAL_DEFAULT);
		restore_signals(&mask);
		if (code != CURLE_OK)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("could not initialize libcurl: %s", curl_easy_strerror(code))));
		initialised = true;
	}
	context = AllocSetContextCreate(caller, "feathub http request", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	transfer = begin_transfer(request);
	code = run_transfer(transfer);
	MemoryContextSwitchTo(caller);
	if (code != CURLE_OK)
		response->reason = transfer->too_long ?
			psprintf("the answer has more than %zu bytes", request->limit) :
			pstrdup(transfer->error[0] ? transfer->error : curl_easy_strerror(code));
	else
	{
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &response->status);
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &redirect);
		response->redirect = redirect ? pstrdup(redirect) : NULL;
		response->data = palloc(transfer->len + 1);
		memcpy(response->data, transfer->data ? transfer->data : "", transfer->len);
		response->data[transfer->len] = '\0';
		response->len = transfer->len;
	}
	MemoryContextDelete(context);
	return code == CURLE_OK;
}

bool
FeathubHttpIsAvailable(void)
{
	return true;
}

#else							/* !FEATHUB_WITH_CURL */

bool
FeathubHttpPerform(const FeathubHttpRequest *request, FeathubHttpResponse *response)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("schema registries are not supported by this build"),
			 errdetail("libcurl was not found when it was built.")));
	return false;
}

bool
FeathubHttpIsAvailable(void)
{
	return false;
}

#endif
