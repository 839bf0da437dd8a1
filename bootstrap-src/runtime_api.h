/* Client of the Lambda Runtime API: HTTP/1.1 over one keep-alive connection.
 *
 * Knows sockets and bytes. Refuses to know Python, JSON, environment variables and what a status code means for the
 * process: it never prints, never exits, and every failure is a value. Not thread-safe: one client per poller.
 */
#ifndef MAKE_RUNTIME_RUNTIME_API_H
#define MAKE_RUNTIME_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct ra_client ra_client;

typedef enum {
    RA_OK = 0,
    RA_NO_MEMORY,    /* an allocation failed */
    RA_BAD_ADDRESS,  /* the address is not host:port */
    RA_BAD_ARGUMENT, /* a header value or id holds a line break or NUL: sending it would forge the request */
    RA_RESOLVE,      /* the host name has no address; see ra_detail */
    RA_CONNECT,      /* nobody listens; see ra_detail */
    RA_CLOSED,       /* the peer closed before the answer was complete */
    RA_IO,           /* the operating system refused to read or write; see ra_detail */
    RA_MALFORMED,    /* not HTTP/1.x as RFC 9112 has it */
    RA_TOO_LARGE,    /* a header block or body beyond the limits below */
    RA_INTERRUPTED,  /* the interrupt callback asked to stop */
    RA_AGAIN         /* not an error: nothing can be done before the descriptor is ready; call again then */
} ra_result;

/* Go's net/http, which serves the real API, caps request headers at about 1 MiB; answers stay below that too. */
#define RA_HEAD_MAX ((size_t)1 << 20)
/* An event is at most 6 MiB + 100 bytes today (and was 256 KiB for async events until it was raised): the limit is
   there to stop nonsense, not to re-enforce a quota that the service may lift. */
#define RA_BODY_MAX ((size_t)64 << 20)

/* A piece of text that lives in the client's buffer: valid until the next ra_next/ra_respond/ra_fail/ra_init_fail.
   `at` is NULL when the header was absent *or empty* (the Managed Instances server sends empty headers). */
typedef struct {
    const char *at;
    size_t length;
} ra_text;

typedef struct {
    int status;
    int64_t length; /* body bytes to read with ra_read_sized, or -1: length unknown, use ra_read_rest */
    ra_text content_type;
    ra_text request_id;
    ra_text invocation_id;
    ra_text deadline_ms;
    ra_text function_arn;
    ra_text trace_id;
    ra_text client_context;
    ra_text cognito_identity;
    ra_text tenant_id;
} ra_head;

/* Called when a signal interrupts a blocking call, or when the wake descriptor is readable (see ra_wake_on); a non-zero
   answer ends the call with RA_INTERRUPTED. */
typedef int (*ra_interrupted)(void *context);

/* `address` is host:port without a scheme, as in AWS_LAMBDA_RUNTIME_API. Does not connect. NULL: no memory. */
ra_client *ra_open(const char *address, const char *user_agent);
void ra_close(ra_client *client); /* NULL is fine */
void ra_on_interrupt(ra_client *client, ra_interrupted callback, void *context);
/* A non-blocking descriptor to watch while waiting for an answer, or -1: what is readable there is thrown away and the
   callback called. EINTR alone is not enough: a signal that arrives just before recv blocks, or that the kernel gives
   to another thread, would go unnoticed until the next invocation. */
void ra_wake_on(ra_client *client, int fd);

/* Each call sends one request and reads the answer's head. The body must then be read, or is dropped together with
   the connection at the next call. An idle connection that turns out to be dead is replaced once, transparently.
   Ids, types and causes are NUL-terminated; NULL leaves the header out. Bodies are sent from where they are; that of a
   response may lie in several places (at most RA_PARTS_MAX). */
ra_result ra_next(ra_client *client, ra_head *head);
#define RA_PARTS_MAX 64
ra_result ra_respond(ra_client *client, const char *request_id, const char *invocation_id, const char *content_type,
                     const struct iovec *parts, size_t count, ra_head *head);
ra_result ra_fail(ra_client *client, const char *request_id, const char *invocation_id, const char *xray_cause,
                  const void *body, size_t length, ra_head *head);
ra_result ra_init_fail(ra_client *client, const char *error_type, const void *body, size_t length, ra_head *head);

/* `next` in two halves, for callers that wait for the descriptor themselves. ra_next_receive blocks only from the
   answer's first byte on; RA_AGAIN: the idle connection was dead and the request has to be sent again. */
ra_result ra_next_send(ra_client *client);
ra_result ra_next_receive(ra_client *client, ra_head *head);
int ra_descriptor(const ra_client *client); /* of the connection, or -1; changes when it is replaced */
unsigned ra_connections(const ra_client *client); /* how many it has made */

/* A response in pieces: chunked, with the trailers for a late error announced. ra_stream_open sends nothing: the head
   leaves with the first chunk, so that until then ra_fail is still possible.
   ra_stream_write sends one chunk (an empty one is left out: it would end the body) and returns when the kernel has
   all of it: a slow reader makes it wait and nothing here grows. With `wait` false it returns RA_AGAIN instead, and has
   to be called again with the same bytes. *answered: the server has said what it has to say before the end (413), and
   what is written from then on is thrown away; close the stream to hear it.
   ra_stream_close ends the body and reads the answer's head. error_type and error_body (base64) NULL: success. */
ra_result ra_stream_open(ra_client *client, const char *request_id, const char *invocation_id, const char *content_type);
ra_result ra_stream_write(ra_client *client, const void *data, size_t length, bool wait, bool *answered);
ra_result ra_stream_close(ra_client *client, const char *error_type, const char *error_body, ra_head *head);
bool ra_stream_started(const ra_client *client); /* a byte of the open stream may have left */

/* Bytes that can be read without touching the socket (so that a caller need not prepare for blocking). */
size_t ra_buffered(const ra_client *client);
/* Reads the whole body of a head with a known length into `to`, which holds head->length bytes. */
ra_result ra_read_sized(ra_client *client, void *to);
/* Reads a body of any kind into malloc'ed memory, which becomes the caller's. */
ra_result ra_read_rest(ra_client *client, char **body, size_t *length);

/* One sentence about the last failure, for a log. Lives in the client. */
const char *ra_detail(const ra_client *client, ra_result result);

#endif
