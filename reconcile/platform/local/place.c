/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses a loopback address for an instance: the first of the range that no instance has and on which both ports can
 * be bound. Every instance has the usual ports on an address of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "internal.h"

#define POSTGRES_PORT 5432
#define AGENT_PORT 8432

static bool can_bind(uint32_t host, uint16_t port)
{
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* a TIME_WAIT does not make an address taken */
    const struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host) };
    return bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
}

static bool is_taken(str host, const struct placement *taken, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(taken[i].host, host))
            return true;
    return false;
}

int local__place(void *self, struct arena *a, const struct platform_instance *instance, const struct placement *taken,
                 size_t taken_count, struct placement *ret, struct error *err)
{
    const struct local *l = self;
    /* The network's own and broadcast address are left out; they would work on loopback, but surprise people. */
    for (uint32_t i = 1; i + 1 < l->range_count; i++) {
        uint32_t host = l->range_first + i;
        char text[INET_ADDRSTRLEN];
        const struct in_addr addr = { .s_addr = htonl(host) };
        inet_ntop(AF_INET, &addr, text, sizeof(text));
        if (is_taken(str_from(text), taken, taken_count) || !can_bind(host, POSTGRES_PORT) ||
            !can_bind(host, AGENT_PORT))
            continue;
        *ret = (struct placement) { .host = arena_str(a, str_from(text)),
                                    .port = POSTGRES_PORT,
                                    .agent_port = AGENT_PORT };
        return 0;
    }
    return error_set(err, ERRC_UNAVAILABLE, "instance \"%.*s\": no free address is left in the local address range",
                     STR_ARG(instance->name));
}
