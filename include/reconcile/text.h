/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that several parts of the reconciler make of texts: members that are left out, lists, owned copies, and
 * one line of what libraries say in several.
 */
#ifndef RECONCILE_TEXT_H
#define RECONCILE_TEXT_H

#include "json/json.h"

/* NULL for an empty text: the member is left out. Not copied. */
const struct json *text_or_none(struct arena *a, str s);
/* An array of texts, not copied. */
const struct json *text_array(struct arena *a, const str *texts, size_t count);

/* A C string that its owner ends with mem_free. */
char *text_copy_z(str s);

/*
 * For events, conditions and columns: libpq and PostgreSQL speak in lines ("FATAL: …", "DETAIL: …", one for each
 * address that was tried). They become one, joined by "; ", without empty lines and without one that was said before. A
 * text of one line without blanks at its ends comes back as it is, else a copy in the arena.
 */
str text_one_line(struct arena *a, str text);

#endif
