/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads that write one number without a lock. A plain program: Criterion does not run under TSan. */
#include <pthread.h>
#include <stddef.h>

static int number;

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100000; i++)
        number++;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) != 0)
        return 0;
    count(NULL);
    pthread_join(thread, NULL);
    return 0;
}
