/* SPDX-License-Identifier: Apache-2.0 */
/* gzip of large answers (RFC 1952), on workers only: the one user of zlib. */
#ifndef REQUEST_GZIP_H
#define REQUEST_GZIP_H

#include "base/blob.h"

struct call;

/* k8s.io/apiserver compresses above 128 KiB. */
#define GZIP_MIN_BYTES (128u << 10)

/* The client takes gzip, the body is large enough, and this is no home thread. */
bool gzip_is_wanted(const struct call *c, size_t bytes);
/* The parts, one after the other, in one buffer. */
struct blob *gzip_pack(const str *parts, size_t count);

#endif
