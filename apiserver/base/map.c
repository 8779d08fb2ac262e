/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries in an array in order of insertion, found through a table of positions with linear probing.
 * Hashes are SipHash-1-3 under a random key of this process: keys come from requests, and a seeded FNV
 * still has inputs that collide under every seed.
 */
#include "base/map.h"

#include <pthread.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/rand.h"

struct entry {
    char *key;
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct entry *entries;
    size_t count;
    size_t cap;
    uint32_t *slots; /* position in entries + 1; 0 is free */
    size_t mask;     /* slots - 1; slots is a power of two, at most half full */
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static uint64_t hash_key[2];

static void make_key(void)
{
    rand_bytes(hash_key, sizeof(hash_key));
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash with one round per word and three at the end; https://cr.yp.to/siphash/siphash-20120918.pdf §2 */
static uint64_t hash_of(str s)
{
    uint64_t v[4] = {
        hash_key[0] ^ UINT64_C(0x736f6d6570736575),
        hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
        hash_key[0] ^ UINT64_C(0x6c7967656e657261),
        hash_key[1] ^ UINT64_C(0x7465646279746573),
    };
    for (size_t at = 0;; at += 8) {
        size_t n = s.len - at < 8 ? s.len - at : 8;
        uint64_t word = 0;
        if (n)
            memcpy(&word, s.ptr + at, n);
        if (n < 8)
            word |= (uint64_t)s.len << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        if (n < 8)
            break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
    (void)pthread_once(&key_once, make_key);
    return mem_new_of(struct map);
}

void map_free(struct map *m, void (*free_value)(void *))
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++) {
        if (free_value)
            free_value(m->entries[i].value);
        mem_free(m->entries[i].key);
    }
    mem_free(m->entries);
    mem_free(m->slots);
    mem_free(m);
}

/* The slot that holds the key, or the free one where it belongs. Needs a table. */
static size_t find_slot(const struct map *m, str key, uint64_t hash)
{
    size_t slot = hash & m->mask;
    for (; m->slots[slot]; slot = (slot + 1) & m->mask) {
        const struct entry *e = &m->entries[m->slots[slot] - 1];
        if (e->hash == hash && str_eq(str_of(e->key, e->key_len), key))
            break;
    }
    return slot;
}

static size_t free_slot(const struct map *m, uint64_t hash)
{
    size_t slot = hash & m->mask;
    while (m->slots[slot])
        slot = (slot + 1) & m->mask;
    return slot;
}

static void grow(struct map *m)
{
    m->cap = m->cap ? m->cap * 2 : 8;
    m->entries = mem_realloc(m->entries, m->cap * sizeof(*m->entries));
    mem_free(m->slots);
    m->slots = mem_array_of(uint32_t, m->cap * 2);
    m->mask = m->cap * 2 - 1;
    for (size_t i = 0; i < m->count; i++)
        m->slots[free_slot(m, m->entries[i].hash)] = (uint32_t)i + 1;
}

void *map_get(const struct map *m, str key)
{
    if (m->count == 0)
        return NULL;
    uint32_t position = m->slots[find_slot(m, key, hash_of(key))];
    return position ? m->entries[position - 1].value : NULL;
}

void *map_put(struct map *m, str key, void *value)
{
    uint64_t hash = hash_of(key);
    if (m->count) {
        uint32_t position = m->slots[find_slot(m, key, hash)];
        if (position) {
            void *before = m->entries[position - 1].value;
            m->entries[position - 1].value = value;
            return before;
        }
    }
    if (m->count == m->cap)
        grow(m);
    char *copy = mem_realloc(NULL, key.len + 1);
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    m->entries[m->count] = (struct entry) { .key = copy, .key_len = key.len, .hash = hash, .value = value };
    m->slots[free_slot(m, hash)] = (uint32_t)++m->count;
    return NULL;
}

/* Moves later members of the probe run forward, so that no tombstones pile up. */
static void close_gap(struct map *m, size_t gap)
{
    for (size_t slot = (gap + 1) & m->mask; m->slots[slot]; slot = (slot + 1) & m->mask) {
        size_t home = m->entries[m->slots[slot] - 1].hash & m->mask;
        if (((slot - home) & m->mask) < ((slot - gap) & m->mask))
            continue;
        m->slots[gap] = m->slots[slot];
        gap = slot;
    }
    m->slots[gap] = 0;
}

void *map_remove(struct map *m, str key)
{
    if (m->count == 0)
        return NULL;
    size_t slot = find_slot(m, key, hash_of(key));
    if (!m->slots[slot])
        return NULL;
    size_t index = m->slots[slot] - 1;
    size_t last = m->count - 1;
    void *value = m->entries[index].value;
    /* The last entry takes the free place; its slot is found while both still stand. */
    const struct entry *moved = &m->entries[last];
    size_t moved_slot = find_slot(m, str_of(moved->key, moved->key_len), moved->hash);
    m->slots[moved_slot] = (uint32_t)index + 1;
    mem_free(m->entries[index].key);
    m->entries[index] = *moved;
    m->count = last;
    close_gap(m, slot);
    return value;
}

size_t map_count(const struct map *m)
{
    return m->count;
}

bool map_next(const struct map *m, size_t *i, str *ret_key, void **ret_value)
{
    if (*i >= m->count)
        return false;
    const struct entry *e = &m->entries[(*i)++];
    if (ret_key)
        *ret_key = str_of(e->key, e->key_len);
    if (ret_value)
        *ret_value = e->value;
    return true;
}
