/* SPDX-License-Identifier: Apache-2.0 */
/* Tree to text. Members in their own order; the same tree always gives the same bytes. */
#ifndef JSON_JSON_WRITE_H
#define JSON_JSON_WRITE_H

#include "base/strbuf.h"
#include "json/json.h"

void json_write(struct strbuf *out, const struct json *v);
/* Two spaces, as `kubectl get --raw` with pretty=true shows it. */
void json_write_pretty(struct strbuf *out, const struct json *v);
/* YAML block style that json_parse_yaml and sigs.k8s.io/yaml read back as the same value. */
void json_write_yaml(struct strbuf *out, const struct json *v);
/* With quotes. */
void json_write_string(struct strbuf *out, str text);
/* The compact text in the arena. */
str json_text(struct arena *a, const struct json *v);

#endif
