/* SPDX-License-Identifier: Apache-2.0 */
/* Many senders and receivers on one small queue: nothing is lost, doubled, or left waiting. */
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/queue.h"
#include "harness/race.h"

enum { SENDERS = 4, ITEMS = 5000 };

static struct queue *queue;
static int items[SENDERS * ITEMS];
static atomic_int next_sender;
static atomic_int senders_left = SENDERS;
static atomic_int received;
static atomic_int finished_receivers;

static void send_all(int sender)
{
    for (int i = 0; i < ITEMS; i++) {
        int *item = &items[sender * ITEMS + i];
        *item = 1;
        while (!queue_push(queue, item))
            sched_yield();
    }
    if (atomic_fetch_sub(&senders_left, 1) == 1)
        queue_close(queue);
}

static void receive_all(int64_t deadline_ns)
{
    void *batch[7];
    while (!(queue_is_closed(queue) && queue_count(queue) == 0)) {
        size_t n = queue_pop_many(queue, batch, ARRAY_LEN(batch), deadline_ns);
        for (size_t i = 0; i < n; i++)
            *(int *)batch[i] += 1;
        atomic_fetch_add(&received, (int)n);
    }
    CHECK(queue_pop(queue, INT64_MAX) == NULL);
    atomic_fetch_add(&finished_receivers, 1);
}

static void *take_part(void *arg UNUSED)
{
    int number = atomic_fetch_add(&next_sender, 1);
    if (number < SENDERS)
        send_all(number);
    else
        receive_all(number % 2 ? INT64_MAX : deadline_in_ms(1));
    return NULL;
}

int main(void)
{
    queue = queue_new(16);
    race(SENDERS + 4, take_part, NULL);
    CHECK(received == SENDERS * ITEMS);
    CHECK(finished_receivers == 4);
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        CHECK(items[i] == 2);
    queue_free(queue);
    return 0;
}
