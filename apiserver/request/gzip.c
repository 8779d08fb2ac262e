/* SPDX-License-Identifier: Apache-2.0 */
/* One pass at level 1, as k8s.io/apiserver does: the wire is seldom the bottleneck, the processor often is. */
#include "request/gzip.h"

#include <assert.h>
#include <zlib.h>

#include "request/call.h"

#define GZIP_LEVEL 1
#define GZIP_WINDOW (15 + 16) /* 16: with gzip's header instead of zlib's */

bool gzip_is_wanted(const struct call *c, size_t bytes)
{
    return bytes > GZIP_MIN_BYTES && c->is_deferred && negotiate_gzip(call_header(c, S("accept-encoding")));
}

struct blob *gzip_pack(const str *parts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    z_stream z = { 0 };
    int r = deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    assert(r == Z_OK); /* fails for want of memory or wrong arguments only */
    struct blob *out = blob_new_size(deflateBound(&z, total));
    z.next_out = (unsigned char *)out->bytes;
    z.avail_out = (unsigned)out->len;
    for (size_t i = 0; i < count; i++) {
        z.next_in = (unsigned char *)(uintptr_t)parts[i].ptr;
        z.avail_in = (unsigned)parts[i].len;
        r = deflate(&z, i + 1 == count ? Z_FINISH : Z_NO_FLUSH);
        assert(r == Z_OK || r == Z_STREAM_END);
    }
    assert(r == Z_STREAM_END);
    out->len = z.total_out;
    out->bytes[out->len] = '\0';
    (void)deflateEnd(&z); /* only tells of data left behind, and there are none */
    return out;
}
