/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a standalone server: who may do what, without a lookup anywhere.
 *   the server itself, system:masters          everything
 *   <API group>:viewers                         get, list and watch of everything but Secrets; every page
 *   system:authenticated                        discovery and OpenAPI
 *   everybody                                   /healthz, /livez, /readyz, /version
 */
#ifndef AUTH_RULES_H
#define AUTH_RULES_H

#include "apiserver/api.h"
#include "request/info.h"

bool rules_allow(const struct api_user *user, const struct request_info *info);

#endif
