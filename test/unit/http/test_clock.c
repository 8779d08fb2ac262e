/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody sets the wall clock, by which libh2o runs its timeouts, back by an hour. */
#include <sys/time.h>

#include "rig.h"

static atomic_long set_back_s;

/* Comes before libc's for every library of this program. */
__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    int64_t now = clock_realtime_ns();
    *tv = (struct timeval) { .tv_sec = now / NS_PER_S - set_back_s, .tv_usec = now % NS_PER_S / 1000 };
    return 0;
}

Test(http_clock, an_hour_back_neither_stops_answers_nor_keeps_idle_connections)
{
    struct rig *rig = rig_new();
    struct frame frame;
    rig_start(rig, (struct http_server_options) { .idle_timeout_ms = 1500 });
    struct client *idle = client_open(rig, false, NULL), *busy = client_open(rig, true, NULL);
    h2_start(busy, 0);
    h2_get(busy, 1, "/stream");
    cr_assert(h2_read_until(busy, FRAME_HEADERS, 1, &frame));
    set_back_s = 3600;
    for (uint32_t i = 1; i < 50; i++) {
        h2_get(busy, 2 * i + 1, "/hello");
        cr_assert(h2_read_until(busy, FRAME_DATA, 2 * i + 1, &frame));
        rig_send(&rig->streams[0], "event\n");
        cr_assert(h2_read_until(busy, FRAME_DATA, 1, &frame));
    }
    cr_assert(client_sees_close(idle, 8000));
    client_free(idle);
    client_free(busy);
    rig_free(rig);
}
