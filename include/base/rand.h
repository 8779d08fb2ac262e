/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes and hashes from OpenSSL. Any thread. A failing generator aborts. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena;

void rand_bytes(void *ret_bytes, size_t len);
uint64_t rand_u64(void);
/* Uniform in [0, bound); bound > 0. */
uint64_t rand_below(uint64_t bound);
/* RFC 4122 version 4, lower case, 36 characters and a NUL. An id, not a secret: bytes are drawn ahead of use. */
void rand_uuid(char ret_uuid[37]);
/* len characters, each uniform from the alphabet; for passwords and generateName suffixes. */
str rand_text(struct arena *a, size_t len, str alphabet);

/* Lower-case hex. */
str hash_sha256_hex(struct arena *a, str data);
void hash_sha256(str data, unsigned char ret_digest[32]);

#endif
