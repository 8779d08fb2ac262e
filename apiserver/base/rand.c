/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's generator and SHA-2. */
#include "base/rand.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/arena.h"

void rand_bytes(void *ret_bytes, size_t len)
{
    unsigned char *to = ret_bytes;
    while (len > 0) {
        int n = len > INT_MAX ? INT_MAX : (int)len;
        if (RAND_bytes(to, n) != 1)
            abort();
        to += n;
        len -= (size_t)n;
    }
}

uint64_t rand_u64(void)
{
    uint64_t value;
    rand_bytes(&value, sizeof(value));
    return value;
}

uint64_t rand_below(uint64_t bound)
{
    /* Values below 2^64 mod bound would favour the small results. */
    uint64_t reject = (0 - bound) % bound;
    uint64_t value;
    do
        value = rand_u64();
    while (value < reject);
    return value % bound;
}

/* For ids, of which some are made at once: OpenSSL asks more for each call than for the bytes. */
static void id_bytes(unsigned char ret_bytes[16])
{
    static _Thread_local unsigned char kept[16 * 16];
    static _Thread_local size_t left;
    if (left == 0) {
        rand_bytes(kept, sizeof(kept));
        left = sizeof(kept);
    }
    left -= 16;
    memcpy(ret_bytes, kept + left, 16);
}

static void to_hex(const unsigned char *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

void rand_uuid(char ret_uuid[37])
{
    static const size_t group_bytes[] = { 4, 2, 2, 2, 6 };
    unsigned char bytes[16];
    id_bytes(bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    const unsigned char *from = bytes;
    char *to = ret_uuid;
    for (size_t i = 0; i < ARRAY_LEN(group_bytes); i++) {
        to_hex(from, group_bytes[i], to);
        from += group_bytes[i];
        to += 2 * group_bytes[i];
        *to++ = '-';
    }
    to[-1] = '\0';
}

str rand_text(struct arena *a, size_t len, str alphabet)
{
    char *text = arena_alloc(a, len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = alphabet.ptr[rand_below(alphabet.len)];
    return str_of(text, len);
}

void hash_sha256(str data, unsigned char ret_digest[32])
{
    if (EVP_Digest(data.ptr, data.len, ret_digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

str hash_sha256_hex(struct arena *a, str data)
{
    unsigned char digest[32];
    hash_sha256(data, digest);
    char *text = arena_alloc(a, 2 * sizeof(digest) + 1);
    to_hex(digest, sizeof(digest), text);
    return str_of(text, 2 * sizeof(digest));
}
