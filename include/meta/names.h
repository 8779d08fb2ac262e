/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for names (apimachinery util/validation). Each gives NULL when fine, else what is expected. */
#ifndef META_NAMES_H
#define META_NAMES_H

#include "base/arena.h"
#include "base/str.h"

const char *names_check_dns1123_subdomain(str s); /* ≤ 253 */
const char *names_check_dns1123_label(str s);     /* ≤ 63 */
const char *names_check_dns1035_label(str s);
const char *names_check_qualified(str s); /* label and annotation keys */
const char *names_check_label_value(str s);
/* Path segments: not ".", "..", no "/" and no "%". */
const char *names_check_path_segment(str s);
/* The first 58 bytes of prefix and five random characters (k8s.io/apiserver names.SimpleNameGenerator). */
str names_generate(struct arena *a, str prefix);

#endif
