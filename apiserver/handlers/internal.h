/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs share. Internal to apiserver/handlers. */
#ifndef HANDLERS_INTERNAL_H
#define HANDLERS_INTERNAL_H

#include "handlers/handlers.h"
#include "meta/object.h"
#include "storage/store.h"

/* ---- names of the thing a call is about ----------------------------------------------------------------------- */

str call_namespace(const struct call *c); /* empty when cluster-scoped */
str call_key(const struct call *c);
struct status *call_not_found(const struct call *c);

/* ---- storage_status.c ----------------------------------------------------------------------------------------- */

/* The Status of a failed storage call about resource r (may be NULL) and name. */
struct status *storage_status(struct arena *a, int code, const struct error *err, const struct resource *r, str name);
/* 504 for a revision that this store has not reached. */
struct status *storage_status_too_large(struct arena *a, rv wanted, rv current);

/* ---- metadata.c: ObjectMeta ------------------------------------------------------------------------------------ */

enum metadata_field {
    META_NAME,
    META_GENERATE_NAME,
    META_NAMESPACE,
    META_UID,
    META_RESOURCE_VERSION,
    META_GENERATION,
    META_CREATION_TIMESTAMP,
    META_DELETION_TIMESTAMP,
    META_DELETION_GRACE,
    META_LABELS,
    META_ANNOTATIONS,
    META_OWNER_REFERENCES,
    META_FINALIZERS,
    METADATA_FIELDS,
};

/* Values by field, NULL when absent. */
struct metadata {
    const struct json *fields[METADATA_FIELDS];
};

/* NULL, or a 400 for a wrong type. Unknown members are noted and dropped; managedFields and selfLink dropped. */
struct status *metadata_read(struct arena *a, const struct json *object, struct json_notes *notes,
                             struct metadata *ret);
const struct json *metadata_tree(struct arena *a, const struct metadata *m);
void metadata_validate(const struct resource *r, const struct metadata *m, struct field_errors *errors);
bool metadata_has_finalizer(const struct metadata *m, str finalizer);
/* With or without the finalizer. */
void metadata_set_finalizer(struct arena *a, struct metadata *m, str finalizer, bool wanted);
size_t metadata_finalizers(const struct metadata *m);
/* deletionTimestamp now, grace 0, generation + 1. */
void metadata_mark_deleting(struct arena *a, struct metadata *m);

/* ---- prepare.c: from what a client sent to what is stored ------------------------------------------------------- */

/* What a decoder noticed of a document of that kind: refused, sent back as warnings, or ignored. */
struct status *notes_judge(struct call *c, str kind, str version, const struct json_notes *notes,
                           enum field_validation how);

struct draft {
    struct metadata metadata;
    const struct json *body; /* apiVersion, kind and the kind's own members, pruned; its metadata does not count */
};
/* NULL, or 400. Also judges unknown and duplicate fields (notes: what the decoder noticed before). */
struct status *draft_read(struct call *c, const struct json *sent, const struct write_options *options,
                          struct json_notes *notes, struct draft *ret);
/* The object as stored: apiVersion, kind, metadata, the rest. */
const struct json *draft_tree(struct arena *a, const struct resource *r, const struct draft *d);

/* Defaults, the strategy's preparation, validation. old NULL: create. *tree is replaced. NULL, or 422. */
struct status *draft_finish(struct call *c, struct draft *d, const struct json *old, bool is_status,
                            const struct json **ret);

/* ---- commit.c: one write on behalf of a call --------------------------------------------------------------------- */

struct commit {
    struct call *call;
    struct storage_write write; /* value: filled from tree */
    const struct json *tree;    /* STORAGE_PUT */
    /* Writer thread (or the caller's, on failure): light work only. object is lent. */
    void (*on_done)(struct commit *m, int result, struct object *object, const struct error *err);
    struct object *object; /* kept by commit_answer */
    int code;
};
void commit_start(struct commit *m);
/* For on_done: answers with the object as it was written, here when that is cheap, else on a worker. */
void commit_answer(struct commit *m, int code, struct object *object);

/* ---- update.c: read, change, write, again on conflict ------------------------------------------------------------ */

struct update {
    struct call *call;
    struct write_options options;
    bool is_status;          /* only status is taken from the draft */
    bool is_scale;           /* the answer is a Scale */
    bool may_be_unversioned; /* a draft without resourceVersion is welcome */
    struct json_notes notes; /* what the decoder noticed */
    const struct json *sent; /* PUT: the body; PATCH: the patch */
    bool is_json_patch;
    /* The draft's tree from the stored one, or NULL with *fail. */
    const struct json *(*make)(struct update *u, const struct json *current, struct status **fail);

    unsigned tries;
    bool is_versioned;      /* the client named a resourceVersion: no second try */
    struct object *current; /* released with the arena */
    struct commit commit;
};
/* On a worker. */
void update_run(struct update *u);
/* A new one, with the options parsed; NULL after it answered. kind: "UpdateOptions". */
struct update *update_new(struct call *c, str options_kind);

/* ---- answer.c, table.c, partial.c ----------------------------------------------------------------------------------
 */

/* Answers with one object in the wanted form. */
void answer_object(struct call *c, int code, const struct object *o);
void answer_object_tree(struct call *c, int code, const struct json *tree);
/* False: the form needs parsing, or the bytes are many: not for threads in a hurry. */
bool answer_is_cheap(const struct call *c, const struct object *o);

struct list_meta {
    rv version;
    str continue_token;
    bool has_remaining;
    uint64_t remaining;
};
const struct json *list_meta_tree(struct arena *a, const struct list_meta *meta);

/* Rows for the objects; columns only when with_columns. metadata: of the list, or NULL. */
const struct json *table_tree(struct call *c, const struct json *const *objects, size_t count, bool with_columns,
                              const struct json *metadata);
/* For watches, which outlive their call. */
struct table_form {
    const struct resource *resource;
    bool is_v1beta1;
    bool is_scale;
    enum include_object include;
};
const struct json *table_form_tree(struct arena *a, const struct table_form *form, const struct json *const *objects,
                                   size_t count, bool with_columns, const struct json *metadata);

const struct json *partial_tree(struct arena *a, bool is_v1beta1, const struct json *object);
const struct json *partial_list_tree(struct arena *a, bool is_v1beta1, const struct json *const *objects, size_t count,
                                     const struct json *metadata);

/* ---- match.c: selectors ---------------------------------------------------------------------------------------------
 */

struct match {
    str namespace_; /* empty: all */
    struct selector labels;
    struct selector fields;
    bool needs_tree; /* a field selector beyond name and namespace */
};
/* NULL, or 400 for a field that this resource cannot select by. */
struct status *match_init(struct call *c, const struct list_options *options, struct match *ret);
bool match_is_all(const struct match *m);
/* *tree is a cache of the object's tree; may come in NULL. */
bool match_object(const struct match *m, struct arena *a, const struct object *o, const struct json **tree);

/* ---- continue_token.c
 * ------------------------------------------------------------------------------------------------ */

struct continue_token {
    rv version; /* 0: newest ("inconsistent continue") */
    str start;  /* last key given, relative to the prefix */
};
str continue_token_write(struct arena *a, const struct continue_token *t);
int continue_token_read(struct arena *a, str text, struct continue_token *ret, struct error *err) MUST_USE;

/* ---- delete
 * ------------------------------------------------------------------------------------------------------------ */

enum deletion_step { DELETION_NONE, DELETION_MARK, DELETION_REMOVE };
/* What a DELETE does to this object: nothing more, mark it (*ret_tree), or remove it. NULL, or the refusal. */
struct status *deletion_plan(struct arena *a, const struct resource *r, const struct object *o,
                             const struct delete_options *options, enum deletion_step *ret,
                             const struct json **ret_tree);
/* DeleteOptions from the body or the query. */
struct status *deletion_options(struct call *c, struct delete_options *ret);
/* Deletes each object (those that changed meanwhile are read again) and waits. Workers. NULL, or what went wrong. */
struct status *deletion_run_many(struct arena *a, const struct resource *r, struct object *const *objects, size_t count,
                                 const struct delete_options *options);

/* ---- namespaces.c
 * ---------------------------------------------------------------------------------------------------------- */

/* NULL, or 404/403: nothing may be created in that namespace. */
struct status *namespaces_check_create(struct call *c);
bool namespaces_is_kind(const struct api *api, const struct resource *r);

/* ---- scale.c
 * ------------------------------------------------------------------------------------------------------------------ */

const struct json *scale_tree(struct arena *a, const struct resource *r, const struct json *object);

/* ---- the verbs
 * ------------------------------------------------------------------------------------------------------------------ */

void handle_get(struct call *c);
void handle_list(struct call *c);
void handle_watch(struct call *c);
void handle_create(struct call *c);
void handle_update(struct call *c);
void handle_patch(struct call *c);
void handle_delete(struct call *c);
void handle_delete_collection(struct call *c);
void handle_status_update(struct call *c);
void handle_status_patch(struct call *c);
void handle_scale_get(struct call *c);
void handle_scale_update(struct call *c);
void handle_scale_patch(struct call *c);
void handle_action(struct call *c);

/* patch.c: an update with the patch of the call, for struct update.make to apply; NULL after it answered. */
struct update *patch_new(struct call *c);
/* target with the patch of u; NULL with *fail. */
const struct json *patch_apply(struct update *u, const struct json *target, struct status **fail);

#endif
