/* SPDX-License-Identifier: Apache-2.0 */
/* The token file as a table, and the thread that reads it again when it changes. */
#ifndef AUTH_TOKEN_FILE_H
#define AUTH_TOKEN_FILE_H

#include "apiserver/api.h"

struct token_file;

int token_file_open(const char *path, struct token_file **ret, struct error *err) MUST_USE;
/* NULL is allowed. */
void token_file_close(struct token_file *f);
/* False when the token is unknown. The user's texts are copied into the arena; groups as in the file. */
bool token_file_find(struct token_file *f, struct arena *a, str token, struct api_user *ret);

/* The parser alone: `token,user,uid,"g1,g2"` per line. Calls on_entry for each; for tests and fuzzing. */
struct token_entry {
    str token;
    struct api_user user;
};
int token_file_parse(struct arena *a, str text, void (*on_entry)(void *self, const struct token_entry *entry),
                     void *self, struct error *err) MUST_USE;

#endif
