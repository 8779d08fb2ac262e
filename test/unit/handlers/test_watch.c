/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. */
#include "test/harness/api_env.h"
#include "test/harness/check.h"
