/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit on input stands here, with where it comes from. SECURITY.md repeats the table for people. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* k8s.io/apiserver MaxRequestBodyBytes: 3 MiB. */
#define LIMIT_BODY_BYTES (3u << 20)
/* What the HTTP library takes before it cuts: a little more, so that 413 is ours to word. */
#define LIMIT_BODY_LIBRARY_BYTES (4u << 20)
/* Bodies that are still arriving, of all connections together: nobody was authenticated for them. */
#define LIMIT_INTAKE_BYTES (256u << 20)
/* One stored object, serialized; etcd's default request limit. */
#define LIMIT_OBJECT_BYTES (1536u << 10)
/* A key of the store: group and resource (≤ 253 each), namespace (63), name (253), and slashes. */
#define LIMIT_KEY_BYTES 1024
#define LIMIT_JSON_DEPTH 128
/* Values in one document: bounds the memory of a parsed 3 MiB body. */
#define LIMIT_JSON_VALUES 400000u
#define LIMIT_YAML_ALIASES 0
#define LIMIT_PATH_BYTES 4096
#define LIMIT_QUERY_BYTES 16384
#define LIMIT_HEADER_BYTES (64u << 10)
#define LIMIT_HEADER_COUNT 100 /* what the HTTP library takes over HTTP/1.1 */
/* Request line and headers of HTTP/1.1 as sent; what is longer is read on up to the second limit, and not kept. */
#define LIMIT_HEAD_BYTES (88u << 10)
#define LIMIT_HEAD_DISCARD_BYTES (1u << 20)
#define LIMIT_SELECTOR_REQUIREMENTS 64
#define LIMIT_PATCH_OPERATIONS 10000 /* k8s.io/apiserver */
#define LIMIT_ANNOTATIONS_BYTES (256u << 10)
#define LIMIT_WARNINGS_BYTES 4096
#define LIMIT_LIST_BYTES (512u << 20)
/* One frame of the agent's stream. */
#define LIMIT_AGENT_MESSAGE_BYTES (256u << 10)
/* Queued bytes of one watcher before it is ended. */
#define LIMIT_WATCH_BACKLOG_EVENTS 1024
#define LIMIT_CONNECTIONS 10000

#endif
