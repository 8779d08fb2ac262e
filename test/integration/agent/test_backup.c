/* SPDX-License-Identifier: Apache-2.0 */
/* A backup by pgBackRest as the leader orders it; the repository passes `pgbackrest verify`. */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "bed.h"
#include "harness/check.h"

static bool is_task(const struct agent_status *s, str state)
{
    return str_eq(json_str_at(s->task, "state"), state);
}

static bool is_task_over(const struct agent_status *s)
{
    return is_task(s, S("succeeded")) || is_task(s, S("failed"));
}

static bool was_progress_told; /* once, which another look at the newest status may no longer find */

static bool has_progress(const struct agent_status *s)
{
    was_progress_told |= str_has_suffix(json_str_at(s->task, "progress"), S(" %"));
    return was_progress_told || is_task_over(s);
}

static const struct json *order(struct bed *b, const char *id, const char *type, const char *repository)
{
    struct arena *a = b->arena;
    return JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, b->term)), JSON_MEMBER("id", json_string(a, str_from(id))),
                          JSON_MEMBER("type", json_string(a, str_from(type))),
                          JSON_MEMBER("repository", json_string(a, str_from(repository))));
}

static bool is_second_over(const struct agent_status *s)
{
    return str_eq(json_str_at(s->task, "id"), S("b-2")) && is_task_over(s);
}

Test(agent_backup, a_full_and_an_incremental_backup_pass_verify, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    struct instance *i = &b.instances[0];
    struct arena *a = b.arena;
    str path = arena_printf(a, "%s/repo", b.dir);
    cr_assert(mkdir(path.ptr, 0700) == 0);
    if (b.has_user)
        cr_assert(chown(path.ptr, b.uid, b.gid) == 0);
    const struct json *repo =
        JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, S("main"))), JSON_MEMBER("path", json_string(a, path)),
                       JSON_MEMBER("retention_full", json_int(a, 3)));
    b.repositories = JSON_ARRAY_OF(a, repo);
    instance_launch(i);
    instance_connect(i);
    instance_configure(i);
    instance_wait(i, "a running primary", is_running_primary);
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT generate_series(1, 10000) AS x");

    const struct json *answer = NULL;
    cr_expect(instance_command(i, "/v1/backup", order(&b, "b-0", "full", "nowhere"), &answer) == 409);
    cr_expect(instance_command(i, "/v1/backup", order(&b, "b-1", "full", "main"), &answer) == 200);
    struct agent_status accepted = instance_status(i);
    cr_expect(str_eq(json_str_at(answer, "incarnation"), accepted.incarnation));
    cr_expect(json_int_at(answer, "nonce", 0) > 0);
    instance_wait(i, "saying how far it is", has_progress);
    cr_expect(was_progress_told, "it never said how far it is");
    instance_wait(i, "done with the backup", is_task_over);
    struct agent_status s = instance_status(i);
    cr_expect(json_str_at(s.task, "progress").len == 0);
    cr_assert(is_task(&s, S("succeeded")), "%.*s", STR_ARG(json_str_at(s.task, "error")));
    cr_expect(str_has_suffix(json_str_at(s.task, "result.label"), S("F")));
    cr_expect(json_int_at(s.task, "result.sizeBytes", 0) > 1000000);
    cr_expect(json_int_at(s.task, "result.repositorySizeBytes", 0) > 0);
    cr_expect(json_int_at(s.task, "result.timeline", 0) == 1);
    uint64_t start = 0, stop = 0;
    cr_expect(lsn_parse(json_str_at(s.task, "result.startLSN"), &start) &&
              lsn_parse(json_str_at(s.task, "result.stopLSN"), &stop) && stop > start);

    cr_expect(instance_command(i, "/v1/backup", order(&b, "b-2", "incremental", "main"), &answer) == 200);
    instance_wait(i, "done with the second", is_second_over);
    s = instance_status(i);
    cr_assert(is_task(&s, S("succeeded")), "%.*s", STR_ARG(json_str_at(s.task, "error")));
    cr_expect(str_has_suffix(json_str_at(s.task, "result.label"), S("I")));

    const char *argv[] = { "pgbackrest",  arena_printf(a, "--config=%s/conf/pgbackrest.conf", i->dir).ptr,
                           "--stanza=pg", "--log-level-console=info",
                           "verify",      NULL };
    str out = bed_run(&b, argv, NULL);
    CHECK_HAS(out, "completed successfully");
    CHECK_HAS_NOT(out, "ERROR");
    bed_close(&b);
}

static bool cannot_archive(const struct agent_status *s)
{
    return str_find(s->archive_error, S("files wait")) >= 0 && str_find(s->archive_error, S(": [")) >= 0;
}

static bool archives(const struct agent_status *s)
{
    return is_running_primary(s) && s->archive_error.len == 0;
}

Test(agent_backup, a_repository_that_is_full_or_away_is_told_with_pgbackrests_words, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    struct instance *i = &b.instances[0];
    struct arena *a = b.arena;
    str path = bed_make_folder(&b, "repo");
    if (mount("tmpfs", path.ptr, "tmpfs", 0, "size=12m,mode=0777") != 0) {
        bed_close(&b);
        cr_skip_test("only root can mount a small file system");
    }
    b.repositories =
        JSON_ARRAY_OF(a, JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, S("main"))),
                                        JSON_MEMBER("path", json_string(a, arena_printf(a, "%.*s/r", STR_ARG(path))))));
    bed_start(&b);
    instance_wait(i, "archiving", archives);
    /* Room for the stanza, not for a backup of 30 MB. */
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT random() AS x FROM generate_series(1, 300000)");
    cr_expect(instance_command(i, "/v1/backup", order(&b, "b-1", "full", "main"), NULL) == 200);
    instance_wait(i, "done with the backup", is_task_over);
    struct agent_status s = instance_status(i);
    cr_expect(is_task(&s, S("failed")));
    CHECK_HAS(json_str_at(s.task, "error"), "pgbackrest: [");
    CHECK_HAS(json_str_at(s.task, "error"), "repository is full");
    /* Away altogether: nothing can be archived. */
    cr_assert(umount2(path.ptr, MNT_DETACH) == 0);
    cr_assert(chmod(path.ptr, 0) == 0);
    (void)instance_sql(i, "app", "CREATE TABLE u (); SELECT pg_switch_wal()");
    instance_wait(i, "saying that the archive fails", cannot_archive);
    cr_assert(chmod(path.ptr, 0777) == 0);
    bed_close(&b);
}
