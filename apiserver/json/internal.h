/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this library share: sealing of objects, the stack on which both parsers build a tree,
 * UTF-8, and which plain YAML scalars are not strings.
 */
#ifndef APISERVER_JSON_INTERNAL_H
#define APISERVER_JSON_INTERNAL_H

#include "base/error.h"
#include "base/limits.h"
#include "json/json.h"
#include "json/json_parse.h"

/* Above this many members an object gets its sorted index. */
#define JSON_INDEX_ABOVE 8

typedef void json__on_duplicate_fn(void *self, str key);

/*
 * Makes *object of members, which then belong to it: the last of equal keys replaces the first in its place.
 * on_duplicate may be NULL; it hears of each key once.
 */
void json__seal_object(struct arena *a, struct json *object, struct json_member *members, size_t count,
                       json__on_duplicate_fn *on_duplicate, void *self);

/* Position of the member, or -1. */
ptrdiff_t json__find(const struct json *object, str key);

/* Both are JSON numbers; equal by value. */
bool json__numbers_equal(str x, str y);

/* Offset of the first byte that is no UTF-8 by RFC 3629, or s.len. */
size_t json__utf8_valid_up_to(str s);

/* One container that is being read. */
struct json__frame {
    size_t start; /* of its members on the stack */
    bool is_object;
};

/*
 * The tree under construction. Members of the open containers lie on one stack; closing a container moves
 * its own into the arena, so that each is allocated once and in its final size.
 */
struct json__tree {
    struct arena *arena;
    struct json_notes *notes; /* or NULL */
    struct error *err;
    int rc; /* of the first failure */
    size_t values;
    const struct json *root;
    size_t depth;
    struct json__frame frames[LIMIT_JSON_DEPTH];
    struct json *pool; /* nodes allocated in blocks */
    size_t pool_left;
    size_t used, cap;
    struct json_member *stack; /* first_stack, or heap */
    struct json_member first_stack[64];
};

void json__tree_init(struct json__tree *t, struct arena *a, struct json_notes *notes, struct error *err);
void json__tree_release(struct json__tree *t);
#define JSON__TREE_AUTO CLEANUP(json__tree_release) struct json__tree

/* All give false when a limit is passed; t->rc and the error are set then. */
bool json__tree_begin(struct json__tree *t, bool is_object);
bool json__tree_key(struct json__tree *t, str key);
bool json__tree_add(struct json__tree *t, const struct json *value);
bool json__tree_text(struct json__tree *t, enum json_type type, str text); /* text is not copied */
bool json__tree_end(struct json__tree *t);
/* "spec.items[3].name" of the value that would come next; key may be empty. */
str json__tree_path(const struct json__tree *t, str key);

/* An RFC 6901 pointer, its tokens unescaped. */
struct json__path {
    size_t count;
    bool is_too_deep; /* more tokens than any document has levels: nothing stands there */
    str tokens[LIMIT_JSON_DEPTH];
};

/* False when it is malformed. */
bool json__path_parse(struct arena *a, str pointer, struct json__path *ret);
/* A decimal index below count, without sign and leading zeros. */
bool json__path_index(str token, size_t count, size_t *ret);

/* A plain YAML scalar; what JSON cannot carry (.inf, .nan, integers that fit nowhere) is refused. */
struct json__scalar {
    enum json_type type;
    bool boolean;
    bool is_refused;
    str text; /* of a string or number */
};

/* As goyaml v2, which sigs.k8s.io/yaml uses, resolves it. plain lives as long as the arena. */
struct json__scalar json__yaml_resolve(struct arena *a, str plain);
/* Might read as null or as a boolean; wider than json__yaml_resolve, for the writer. */
bool json__yaml_is_word(str s);

#endif
