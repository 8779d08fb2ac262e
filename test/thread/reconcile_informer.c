/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers, readers and a server that ends watches and forgets history: the informer's callbacks, followed one by one,
 * give the same world as the API's own list.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/attr.h"
#include "harness/fake_kube.h"
#include "harness/race.h"
#include "harness/wait.h"
#include "reconcile/informer.h"

enum { WRITERS = 2, NAMES = 9, WRITES = 400 };

static struct fake_kube *kube;
static struct informer *inf;
static atomic_int next_role;
static atomic_int writers_left = WRITERS;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char world[WRITERS * NAMES][24]; /* resourceVersion by what the callbacks told; empty: absent */

static size_t index_of(const struct json *object)
{
    str name = json_str_at(object, "metadata.name");
    return (size_t)(name.ptr[0] - 'a') * NAMES + (size_t)(name.ptr[1] - 'a');
}

static void on_change(void *self UNUSED, enum kube_event_type type, const struct json *object)
{
    str version = json_str_at(object, "metadata.resourceVersion");
    pthread_mutex_lock(&lock);
    char *mine = world[index_of(object)];
    CHECK(type != KUBE_ADDED || mine[0] == '\0');
    CHECK(type != KUBE_MODIFIED || (mine[0] && !str_eq_z(version, mine)));
    CHECK(type != KUBE_DELETED || mine[0]);
    if (type == KUBE_DELETED)
        mine[0] = '\0';
    else
        (void)snprintf(mine, sizeof(world[0]), "%.*s", STR_ARG(version));
    pthread_mutex_unlock(&lock);
}

static void write_all(int writer)
{
    for (int i = 0; i < WRITES; i++) {
        char path[64], text[64];
        (void)snprintf(path, sizeof(path), "/apis/test/v1/namespaces/n/things/%c%c", 'a' + writer, 'a' + i % NAMES);
        (void)snprintf(text, sizeof(text), "{\"spec\":{\"v\":%d}}", i);
        if (i % 7 == 3)
            fake_kube_delete(kube, path);
        else
            fake_kube_put(kube, path, text);
        if (i % 20 == 0)
            wait_a_little();
    }
    atomic_fetch_sub(&writers_left, 1);
}

static void make_trouble(void)
{
    for (int i = 0; atomic_load(&writers_left) > 0; i++) {
        if (i % 3 == 2)
            fake_kube_compact(kube);
        fake_kube_end_watches(kube, i % 3 == 1 ? ERRC_UNAVAILABLE : ERRC_OK);
        fake_kube_bookmark(kube);
        wait_a_little();
    }
}

static void read_all(void)
{
    while (atomic_load(&writers_left) > 0) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        const struct json **list;
        size_t count = informer_list(inf, a, S("n"), &list);
        CHECK(count <= WRITERS * NAMES);
    }
}

static void *take_part(void *arg UNUSED)
{
    int role = atomic_fetch_add(&next_role, 1);
    if (role < WRITERS)
        write_all(role);
    else if (role == WRITERS)
        make_trouble();
    else
        read_all();
    return NULL;
}

static bool is_same_world(void)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json **list;
    size_t count = fake_kube_list(kube, a, "/apis/test/v1/things", &list), told = 0;
    bool same = true;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        same = same && str_eq_z(json_str_at(list[i], "metadata.resourceVersion"), world[index_of(list[i])]);
    for (size_t i = 0; i < WRITERS * NAMES; i++)
        told += world[i][0] != '\0';
    pthread_mutex_unlock(&lock);
    return same && told == count;
}

int main(void)
{
    kube = fake_kube_new();
    struct error err;
    CHECK(informer_start(fake_kube_client(kube), S("/apis/test/v1/things"), on_change, NULL, &inf, &err) == 0);
    race(WRITERS + 2, take_part, NULL);
    CHECK(BECOMES(is_same_world()));
    informer_stop(inf);
    fake_kube_free(kube);
    return 0;
}
