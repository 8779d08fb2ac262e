/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stored object as caches and watchers share it: counted, immutable, already serialized with its
 * resourceVersion inside, with the few fields that lists, selectors and preconditions look at. The full tree is
 * parsed on demand (object_parse): it costs three times the memory of the bytes.
 */
#ifndef META_OBJECT_H
#define META_OBJECT_H

#include <stdatomic.h>

#include "base/error.h"
#include "meta/selector.h"
#include "json/json.h"

/* Resource version: the store's revision of the object's last write. 0 is "none". */
typedef uint64_t rv;

struct object {
    atomic_uint refs;
    rv resource_version;
    str bytes;                      /* compact JSON, metadata.resourceVersion included */
    size_t version_at, version_len; /* where its digits stand in bytes; for object_with_version */
    size_t spare_len;               /* texts behind the bytes; for object_with_version */
    str namespace_, name, uid;
    int64_t generation;
    bool is_deleting; /* metadata.deletionTimestamp is set */
    bool has_finalizers;
    const struct label *labels; /* sorted by key */
    size_t label_count;
};

/*
 * From the bytes as the store keeps them (without resourceVersion) and the revision of that write. ERRC_INVALID when
 * they are no object with metadata.name.
 */
int object_new(str stored, rv resource_version, struct object **ret, struct error *err) MUST_USE;
/* The same from a tree that is at hand, without parsing. */
struct object *object_from_tree(const struct json *tree, rv resource_version);
/* The same object as of another revision: the bytes with the other resourceVersion, copied without parsing. */
struct object *object_with_version(const struct object *o, rv resource_version);
struct object *object_ref(struct object *o);
struct object *object_unref(struct object *o);
static inline void object_unrefp(struct object **o)
{
    (void)object_unref(*o);
}
/* The tree, in the arena. Stored bytes always parse; failure aborts. */
const struct json *object_parse(struct arena *a, const struct object *o);

#endif
