/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of a loop, in a pairing heap. Not h2o's: its timeouts have one fixed delay per list, and run by the wall
 * clock, so that they stand still when somebody sets the clock back.
 */
#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

struct http_timer {
    struct http_loop *loop;
    int64_t due_ns;
    void (*fn)(void *arg);
    void *arg;
    struct http_timer *child, *next; /* the first child; the next sibling */
    struct http_timer *prev;         /* the sibling before, or the parent of a first child; NULL at the root */
};

static struct http_timer *meld(struct http_timer *a, struct http_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_ns < a->due_ns) {
        struct http_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Melds a list of siblings: in pairs from the left, then the pairs from the right. */
static struct http_timer *meld_siblings(struct http_timer *first)
{
    struct http_timer *pairs = NULL, *root = NULL;
    while (first) {
        struct http_timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct http_timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void take_out(struct http_timer *t)
{
    struct http_loop *loop = t->loop;
    struct http_timer *rest = meld_siblings(t->child);
    if (loop->timers == t) {
        loop->timers = rest;
        return;
    }
    if (t->prev->child == t)
        t->prev->child = t->next;
    else
        t->prev->next = t->next;
    if (t->next)
        t->next->prev = t->prev;
    loop->timers = meld(loop->timers, rest);
}

struct http_timer *http_timer_start(struct http_loop *loop, int64_t ms, void (*fn)(void *arg), void *arg)
{
    struct http_timer *t = mem_new_of(struct http_timer);
    *t = (struct http_timer) { .loop = loop, .due_ns = deadline_in_ms(ms < 0 ? 0 : ms), .fn = fn, .arg = arg };
    loop->timers = meld(loop->timers, t);
    return t;
}

void http_timer_cancel(struct http_timer *t)
{
    take_out(t);
    mem_free(t);
}

bool http__timers_run(struct http_loop *loop)
{
    if (!loop->timers)
        return false;
    int64_t now = clock_monotonic_ns();
    bool has_run = false;
    while (loop->timers && loop->timers->due_ns <= now) {
        struct http_timer *t = loop->timers;
        void (*fn)(void *) = t->fn;
        void *arg = t->arg;
        take_out(t);
        mem_free(t);
        fn(arg);
        has_run = true;
    }
    return has_run;
}

int32_t http__timers_wait_ms(const struct http_loop *loop)
{
    return loop->timers ? deadline_left_ms(loop->timers->due_ns) : INT32_MAX;
}

void http__timers_free(struct http_loop *loop)
{
    while (loop->timers)
        http_timer_cancel(loop->timers);
}
