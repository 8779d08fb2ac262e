/* SPDX-License-Identifier: Apache-2.0 */
/* A head of HTTP/1.1 that passes is one that the library reads, and ends where it says; pieces of it say what it says.
 */
#include <assert.h>

#include "base/limits.h"
#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The library's own parser; its header is not installed. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);

static int library_says(str head)
{
    struct phr_header headers[LIMIT_HEADER_COUNT];
    const char *method, *path;
    size_t method_len, path_len, count = LIMIT_HEADER_COUNT;
    int minor;
    return phr_parse_request(head.ptr, head.len, &method, &method_len, &path, &path_len, &minor, headers, &count, 0);
}

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    str head = str_of((const char *)data + 1, size - 1);
    struct head whole = { .state = HEAD_START }, parts = { .state = HEAD_START };
    size_t taken = http__head_scan(&whole, head), piece = data[0] + 1, from = 0;
    for (size_t n = piece; n == piece && from < head.len; from += n)
        n = http__head_scan(&parts, str_of(head.ptr + from, piece < head.len - from ? piece : head.len - from));
    assert(taken <= head.len && taken == whole.bytes && from == taken);
    assert(parts.state == whole.state && parts.bytes == whole.bytes && parts.count == whole.count &&
           parts.is_target_too_long == whole.is_target_too_long);
    assert(taken == head.len || whole.state >= HEAD_COMPLETE);
    int theirs = library_says(head);
    assert(whole.state != HEAD_COMPLETE || whole.count > LIMIT_HEADER_COUNT || theirs == (int)taken);
    assert(whole.state >= HEAD_COMPLETE || whole.count > LIMIT_HEADER_COUNT || theirs == -2);
    return 0;
}
