/* SPDX-License-Identifier: Apache-2.0 */
/* Forms and ranges of random values, and hashes by their published vectors. */
#include "base/rand.h"

#include "base/arena.h"
#include "harness/check.h"

Test(rand, bytes_are_filled_and_differ)
{
    unsigned char a[64] = { 0 }, b[64] = { 0 };
    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    rand_bytes(a, 0);
    cr_assert_neq(rand_u64(), rand_u64());
}

Test(rand, below_stays_below_and_reaches_every_value)
{
    int seen[5] = { 0 };
    for (int i = 0; i < 2000; i++) {
        uint64_t n = rand_below(5);
        cr_assert_lt(n, 5);
        seen[n]++;
    }
    for (int i = 0; i < 5; i++)
        cr_assert(seen[i] > 250 && seen[i] < 550, "%d came %d times of 2000", i, seen[i]);
    cr_assert_eq(rand_below(1), 0);
    cr_assert_lt(rand_below(UINT64_MAX), UINT64_MAX);
}

Test(rand, uuids_have_the_form_of_version_4)
{
    char uuid[37], other[37];
    rand_uuid(uuid);
    rand_uuid(other);
    cr_assert_eq(strlen(uuid), 36);
    cr_assert_str_neq(uuid, other);
    for (int i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        cr_assert(is_dash ? uuid[i] == '-' : strchr("0123456789abcdef", uuid[i]) != NULL, "%s", uuid);
    }
    cr_assert_eq(uuid[14], '4');
    cr_assert(strchr("89ab", uuid[19]));
}

Test(rand, text_comes_from_its_alphabet)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text = rand_text(a, 200, S("xyz"));
    cr_assert_eq(text.len, 200);
    cr_assert(str_is_all_of(text, S("xyz")));
    cr_assert(str_index(text, 'x') >= 0 && str_index(text, 'y') >= 0 && str_index(text, 'z') >= 0);
    cr_assert_eq(rand_text(a, 0, S("x")).len, 0);
}

Test(rand, hashes_match_the_vectors_of_fips_180)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CHECK_STR(hash_sha256_hex(a, S("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_STR(hash_sha256_hex(a, S("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_STR(hash_sha256_hex(a, str_from(NULL)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    unsigned char digest[32];
    hash_sha256(S("abc"), digest);
    cr_assert(digest[0] == 0xba && digest[31] == 0xad);
}
