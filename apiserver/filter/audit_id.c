/* SPDX-License-Identifier: Apache-2.0 */
/* Every request has an id, the client's (an aggregator's) or ours; answers and logs carry it. */
#include "base/rand.h"
#include "filter/filter.h"

#define AUDIT_ID_MAX 64

/* An id need not be secret: a fast generator per thread, seeded from the good one (splitmix64, Vigna). */
static uint64_t next_random(void)
{
    static _Thread_local uint64_t state;
    if (state == 0)
        state = rand_u64() | 1;
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void write_uuid(char *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t random[2] = { next_random(), next_random() };
    for (size_t i = 0, n = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            out[i] = '-';
            continue;
        }
        out[i] = digits[(random[n / 16] >> (4 * (n % 16))) & 15];
        n++;
    }
    out[14] = '4';
    out[19] = digits[8 | (random[0] & 3)];
}

static bool is_usable(str id)
{
    if (str_is_empty(id) || id.len > AUDIT_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
            return false;
    return true;
}

bool filter_audit_id(struct call *c)
{
    str sent = call_header(c, S("audit-id"));
    bool is_theirs = is_usable(sent);
    if (is_theirs)
        memcpy(c->audit_id_buffer, sent.ptr, sent.len);
    else
        write_uuid(c->audit_id_buffer);
    c->audit_id = str_of(c->audit_id_buffer, is_theirs ? sent.len : 36);
    return true;
}
