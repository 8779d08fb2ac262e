/* SPDX-License-Identifier: Apache-2.0 */
/* Of all that PostgreSQL logs only what it says about its own end is told as the reason of it. */
#include "harness/check.h"
#include "reconcile/agent/agent.h"

#define AT "2026-11-23 20:16:08.565 UTC "

static str words(const char *log)
{
    static struct arena *a;
    if (!a)
        a = arena_new();
    return postgres_last_words(a, str_from(log), 100);
}

Test(last_words, what_other_sessions_were_refused_for_is_no_reason)
{
    CHECK_STR(words(AT "[100] LOG:  database system is ready to accept connections\n" AT
                       "[107] FATAL:  could not connect to the primary server: Connection refused\n" AT
                       "[108] app@app FATAL:  the database system is starting up\n" AT
                       "[109] app@app FATAL:  terminating connection due to unexpected postmaster exit\n"),
              "");
}

Test(last_words, the_process_that_took_the_others_along_is_named_with_its_own_words)
{
    CHECK_STR(words(AT "[111] LOG:  entering standby mode\n" AT "[111] FATAL:  hot standby is not possible\n" AT
                       "[107] x@y FATAL:  the other is [100] FATAL:\n" AT
                       "[100] LOG:  startup process (PID 111) exited with exit code 1\n" AT
                       "[100] LOG:  aborting startup due to startup process failure\n" AT
                       "[100] LOG:  database system is shut down\n"),
              "startup process (PID 111) exited with exit code 1: hot standby is not possible");
    CHECK_STR(words(AT "[100] LOG:  background worker \"x\" (PID 90) exited with exit code 1\n" AT
                       "[107] PANIC:  could not write to file \"pg_wal/xlogtemp.107\": No space left on device\n" AT
                       "[100] LOG:  server process (PID 107) was terminated by signal 6: Aborted\n" AT
                       "[100] LOG:  terminating any other active server processes\n" AT
                       "[100] LOG:  checkpointer (PID 105) exited with exit code 2\n"),
              "server process (PID 107) was terminated by signal 6: Aborted: could not write to file "
              "\"pg_wal/xlogtemp.107\": No space left on device");
}

Test(last_words, its_own_last_error_counts_most)
{
    CHECK_STR(words(AT "[100] LOG:  could not bind IPv4 address\n" AT
                       "[100] FATAL:  could not create any TCP/IP sockets\n" AT
                       "[100] LOG:  database system is shut down"),
              "could not create any TCP/IP sockets");
    CHECK_STR(words("no prefix\n[\n[100]\n" AT "[100] LOG:  (PID ) exited with \n"), "");
}
