/*
 * http_client.h
 *		One HTTP request, interruptible, on libcurl.
 */
#ifndef FEATHUB_FORMATS_HTTP_CLIENT_H
#define FEATHUB_FORMATS_HTTP_CLIENT_H

typedef struct FeathubHttpRequest
{
	const char *url;			/* http or https, without credentials in it */
	const char *body;			/* of a POST; NULL: GET */
	const char *content_type;	/* of the body, and what is accepted */
	const char *username;		/* basic authentication, or NULL */
	const char *password;
	const char *token;			/* bearer token, or NULL */
	const char *ca_file;		/* NULL, and no ca_pem: the system's */
	const char *ca_pem;
	const char *cert_file;		/* the client's, or NULL */
	const char *key_file;
	const char *key_password;
	bool		verify;			/* the server's certificate and name */
	int			timeout;		/* ms, for all of it */
	Size		limit;			/* bytes of an answer */
} FeathubHttpRequest;

typedef struct FeathubHttpResponse
{
	long		status;			/* 200, 404, ... */
	char	   *data;			/* NUL-terminated, palloc'd */
	Size		len;
	char	   *redirect;		/* where a 3xx points to, or NULL */
	char	   *reason;			/* why there was no answer at all, palloc'd */
} FeathubHttpResponse;

/*
 * FeathubHttpPerform
 *		Send a request and wait for the answer.
 *
 * Returns false, with response->reason filled, if there was none: the server
 * cannot be reached, is not trusted, does not answer in time or with too much.
 * A cancel is raised at once.  Redirects are not followed, proxies of the
 * environment not used.  Raises FEATURE_NOT_SUPPORTED in a build without curl.
 */
extern bool FeathubHttpPerform(const FeathubHttpRequest *request, FeathubHttpResponse *response);

/* Does this build have it? */
extern bool FeathubHttpIsAvailable(void);

#endif							/* FEATHUB_FORMATS_HTTP_CLIENT_H */
