/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses among documents by the Accept header, with the parameters that Kubernetes puts there (as, g, v). */
#ifndef OPS_ACCEPT_H
#define OPS_ACCEPT_H

#include <stddef.h>

#include "base/str.h"

/* What can be given. Without `as` it is the plain form. */
struct accept_offer {
    str type; /* "application/json" */
    str as, group, version;
};

/*
 * The position of the offer that the client prefers: by q, then by the order of its clauses, then by ours; -1 when
 * nothing fits (406). An absent header takes the first.
 */
int accept_choose(str accept, const struct accept_offer *offers, size_t count);

#endif
