/* SPDX-License-Identifier: Apache-2.0 */
/* Lines: method, path, query, Accept, Accept-Encoding. Whatever they hold, parsing ends, and what it gives is sound. */
#include <assert.h>

#include "request/info.h"
#include "request/negotiate.h"
#include "request/options.h"
#include "request/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_info(const struct request_info *info)
{
    const str parts[] = { info->namespace_, info->resource, info->name, info->subresource };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert(str_index(parts[i], '/') < 0 && str_index(parts[i], '\0') < 0);
    assert(!str_is_empty(info->verb_text) || info->verb == REQUEST_OTHER);
}

static void parse_options(struct arena *a, const struct query *q)
{
    struct list_options list;
    struct write_options write;
    struct delete_options delete;
    (void)list_options_parse(a, q, false, &list);
    (void)list_options_parse(a, q, true, &list);
    (void)write_options_parse(a, q, S("CreateOptions"), &write);
    (void)delete_options_parse(a, q, NULL, &delete);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str lines[5] = { { 0 } }, rest = str_of((const char *)data, size);
    for (size_t i = 0; i < 5 && str_next_field(&rest, '\n', &lines[i]); i++)
        ;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct query q = { 0 };
    struct request_info info;
    struct error err;
    int64_t ns;
    if (query_parse(a, lines[2], &q, &err) == 0) {
        parse_options(a, &q);
        if (request_info_parse(a, lines[0], lines[1], &q, &info, &err) == 0)
            check_info(&info);
    }
    (void)url_parse_duration(lines[2], &ns);
    const struct offer offer = { .table = true, .partial = true, .partial_list = true, .yaml = true };
    struct representation rep;
    (void)negotiate_accept(a, lines[3], &offer, &rep);
    (void)negotiate_gzip(lines[4]);
    return 0;
}
