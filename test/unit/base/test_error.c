/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and texts, also when they are too long. */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "harness/check.h"

Test(error, set_gives_the_code_back_and_allows_null)
{
    struct error e;
    cr_assert_eq(error_set(&e, ERRC_CONFLICT, "revision %d", 7), ERRC_CONFLICT);
    cr_assert_eq(e.code, ERRC_CONFLICT);
    cr_assert_eq(e.sys, 0);
    cr_assert_str_eq(e.text, "revision 7");
    cr_assert_eq(error_set(NULL, ERRC_INVALID, "x"), ERRC_INVALID);
    cr_assert_eq(error_set_sys(NULL, ENOENT, "x"), ERRC_NOT_FOUND);
    cr_assert_eq(error_wrap(NULL, ERRC_INVALID, "x"), ERRC_INVALID);
    error_clear(NULL);
}

Test(error, the_code_of_a_system_error_says_what_can_be_done)
{
    static const struct {
        int sys;
        enum err code;
    } cases[] = {
        { ENOENT, ERRC_NOT_FOUND },   { EEXIST, ERRC_EXISTS },
        { ENOSPC, ERRC_UNAVAILABLE }, { EDQUOT, ERRC_UNAVAILABLE },
        { EAGAIN, ERRC_UNAVAILABLE }, { EMFILE, ERRC_UNAVAILABLE },
        { ENFILE, ERRC_UNAVAILABLE }, { ECONNREFUSED, ERRC_UNAVAILABLE },
        { EACCES, ERRC_DENIED },      { EPERM, ERRC_DENIED },
        { EROFS, ERRC_DENIED },       { ETIMEDOUT, ERRC_TIMEOUT },
        { EIO, ERRC_INTERNAL },       { EINVAL, ERRC_INTERNAL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error e;
        CHECK_FAILS(error_set_sys(&e, cases[i].sys, "opening \"%s\"", "f"), cases[i].code);
        cr_assert_eq(e.sys, cases[i].sys);
        CHECK_HAS(str_from(e.text), "opening \"f\": ");
        CHECK_HAS(str_from(e.text), strerrordesc_np(cases[i].sys));
    }
}

Test(error, wrapping_puts_the_context_first_and_keeps_code_and_errno)
{
    struct error e;
    int r = error_set_sys(&e, ENOENT, "opening \"f\"");
    cr_assert_eq(error_wrap(&e, r, "reading %s", "lease"), ERRC_NOT_FOUND);
    cr_assert_str_eq(e.text, "reading lease: opening \"f\": No such file or directory");
    cr_assert_eq(e.code, ERRC_NOT_FOUND);
    cr_assert_eq(e.sys, ENOENT);
}

Test(error, an_argument_may_be_the_text_itself)
{
    struct error e;
    error_set(&e, ERRC_INVALID, "inner");
    error_set(&e, ERRC_INVALID, "outer of %s", e.text);
    cr_assert_str_eq(e.text, "outer of inner");
}

Test(error, long_texts_are_cut_but_the_reason_of_the_system_stays)
{
    struct error e;
    char name[2 * ERROR_TEXT_MAX];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    error_set(&e, ERRC_INVALID, "%s", name);
    cr_assert_eq(strlen(e.text), ERROR_TEXT_MAX - 1);
    error_set_sys(&e, ENOSPC, "writing %s", name);
    cr_assert_eq(strlen(e.text), ERROR_TEXT_MAX - 1);
    cr_assert(str_has_suffix(str_from(e.text), S(": No space left on device")));
    error_wrap(&e, ERRC_UNAVAILABLE, "saving");
    cr_assert_eq(strlen(e.text), ERROR_TEXT_MAX - 1);
    cr_assert(str_has_prefix(str_from(e.text), S("saving: writing xxx")));
}

Test(error, every_code_has_a_name_and_others_are_unknown)
{
    for (int code = ERRC_UNSUPPORTED; code <= ERRC_OK; code++)
        cr_assert_str_neq(error_code_name(code), "unknown");
    cr_assert_str_eq(error_code_name(ERRC_TOO_OLD), "too old");
    cr_assert_str_eq(error_code_name(1), "unknown");
    cr_assert_str_eq(error_code_name(ERRC_UNSUPPORTED - 1), "unknown");
}

Test(error, clearing_leaves_nothing)
{
    struct error e;
    error_set_sys(&e, EIO, "x");
    error_clear(&e);
    cr_assert(e.code == ERRC_OK && e.sys == 0 && e.text[0] == '\0');
}
