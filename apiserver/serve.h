/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The glue between the HTTP server and the API: turns requests into api_request, answers into http_response, watches
 * into streams. Knows both sides, so that neither knows the other.
 */
#ifndef SERVE_H
#define SERVE_H

#include "apiserver/api.h"
#include "auth/auth.h"
#include "http/server.h"

struct serve;

struct serve_options {
    struct api *api;         /* lives longer than the HTTP server */
    struct auth *auth;       /* likewise */
    uint32_t client_ca_mask; /* of http_peer.verified_by: CA sets whose certificates name users; 0: the first */
};

struct serve *serve_new(const struct serve_options *options);
/* After the HTTP server was freed. NULL is allowed. */
void serve_free(struct serve *s);

/* http_server_options.handler; self is the struct serve. */
void serve_handle(void *self, struct http_request *req);
/* http_server_options.word_refusal: a Status. */
void serve_word_refusal(void *self, struct arena *a, struct http_refusal *refusal);

#endif
