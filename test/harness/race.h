/* SPDX-License-Identifier: Apache-2.0 */
/* For the plain programs of test/thread: checks without Criterion, and threads that start together. */
#ifndef HARNESS_RACE_H
#define HARNESS_RACE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program: a failed check in one thread must not leave the others waiting. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define RACE_THREADS_MAX 16

/* Runs fn(arg) in `count` threads at once and waits for all of them. */
static inline void race(size_t count, void *(*fn)(void *), void *arg)
{
    pthread_t threads[RACE_THREADS_MAX];
    CHECK(count <= RACE_THREADS_MAX);
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, fn, arg) == 0);
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

#endif
