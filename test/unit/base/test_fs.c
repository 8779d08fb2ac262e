/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files and folders, also where the disk or the rights say no. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "harness/check.h"
#include "harness/temp_dir.h"

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count - 2; /* . and .. */
}

Test(fs, a_file_is_written_and_read_back_with_its_mode)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    struct stat st;
    str data;
    const char *path = TEMP_PATH(a, d, "f");
    (void)umask(077);
    CHECK_OK(fs_write_atomic(path, S("a\0b"), 0644, &e), e);
    CHECK_OK(fs_read(a, path, 3, &data, &e), e);
    cr_assert(str_eq(data, S("a\0b")));
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0644, "the umask has no say");
    CHECK_OK(fs_write_atomic(path, S(""), 0600, &e), e);
    CHECK_OK(fs_read(a, path, 0, &data, &e), e);
    cr_assert_eq(data.len, 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
}

Test(fs, reading_obeys_its_maximum_and_says_what_is_missing)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str data;
    const char *path = TEMP_PATH(a, d, "f");
    CHECK_OK(fs_write_atomic(path, S("1234"), 0644, &e), e);
    CHECK_OK(fs_read(a, path, 4, &data, &e), e);
    CHECK_FAILS(fs_read(a, path, 3, &data, &e), ERRC_TOO_LARGE);
    CHECK_HAS(str_from(e.text), path);
    CHECK_FAILS(fs_read(a, TEMP_PATH(a, d, "none"), 4, &data, &e), ERRC_NOT_FOUND);
    cr_assert_eq(e.sys, ENOENT);
    CHECK_FAILS(fs_read(a, d.path, 4, &data, &e), ERRC_INTERNAL);
    CHECK_OK(fs_read(a, "/proc/self/stat", 4096, &data, &e), e);
    cr_assert_gt(data.len, 0, "a file that says it has no size");
}

Test(fs, a_large_file_comes_back_whole)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str data;
    size_t len = 3 << 20;
    char *big = arena_alloc(a, len);
    for (size_t i = 0; i < len; i++)
        big[i] = (char)(i % 251);
    CHECK_OK(fs_write_atomic(TEMP_PATH(a, d, "f"), str_of(big, len), 0644, &e), e);
    CHECK_OK(fs_read(a, TEMP_PATH(a, d, "f"), len, &data, &e), e);
    cr_assert(str_eq(data, str_of(big, len)));
}

/* A mount that only this test's process sees; false where that is not allowed. */
static bool mount_tmpfs(const char *path, const char *options)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

Test(fs, a_full_disk_leaves_the_old_content_and_no_temporary_file)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str data;
    if (!mount_tmpfs(d.path, "size=64k"))
        cr_skip_test("needs the right to mount");
    const char *path = TEMP_PATH(a, d, "f");
    char *big = arena_alloc(a, 1 << 20);
    CHECK_OK(fs_write_atomic(path, S("old"), 0644, &e), e);
    CHECK_FAILS(fs_write_atomic(path, str_of(big, 1 << 20), 0644, &e), ERRC_UNAVAILABLE);
    cr_assert_eq(e.sys, ENOSPC);
    CHECK_OK(fs_read(a, path, 100, &data, &e), e);
    CHECK_STR(data, "old");
    CHECK_OK(fs_write_atomic(path, S("new"), 0644, &e), e);
    cr_assert_eq(count_entries(d.path), 1);
    cr_assert_eq(umount(d.path), 0);
}

Test(fs, a_write_that_fails_half_way_removes_its_temporary_file)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    const char *folder = TEMP_PATH(a, d, "g");
    CHECK_OK(fs_mkdir_all(folder, 0755, &e), e);
    char *big = arena_alloc(a, 100000);
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    struct rlimit limit = { 4096, 4096 };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_FAILS(fs_write_atomic(arena_printf(a, "%s/f", folder).ptr, str_of(big, 100000), 0644, &e), ERRC_INTERNAL);
    cr_assert_eq(e.sys, EFBIG);
    cr_assert_eq(count_entries(folder), 0);
}

Test(fs, a_read_only_folder_denies)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str data;
    const char *path = TEMP_PATH(a, d, "f");
    CHECK_OK(fs_write_atomic(path, S("old"), 0644, &e), e);
    cr_assert_eq(chmod(d.path, 0555), 0);
    uid_t before = geteuid();
    if (before == 0)
        cr_assert_eq(seteuid(65534), 0);
    CHECK_FAILS(fs_write_atomic(path, S("new"), 0644, &e), ERRC_DENIED);
    CHECK_FAILS(fs_mkdir_all(TEMP_PATH(a, d, "g"), 0755, &e), ERRC_DENIED);
    CHECK_FAILS(fs_remove_all(path, &e), ERRC_DENIED);
    CHECK_OK(fs_read(a, path, 100, &data, &e), e);
    CHECK_STR(data, "old");
    cr_assert_eq(seteuid(before), 0);
    cr_assert_eq(chmod(d.path, 0755), 0);
}

Test(fs, writing_into_a_missing_folder_says_not_found)
{
    struct error e;
    CHECK_FAILS(fs_write_atomic("/nonexistent-folder/f", S("x"), 0644, &e), ERRC_NOT_FOUND);
    CHECK_HAS(str_from(e.text), "/nonexistent-folder/f");
    CHECK_FAILS(fs_sync_dir("/nonexistent-folder", &e), ERRC_NOT_FOUND);
}

Test(fs, a_full_device_is_unavailable)
{
    struct error e;
    FD_AUTO fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    CHECK_FAILS(fs_write_all(fd, S("x"), &e), ERRC_UNAVAILABLE);
    CHECK_OK(fs_write_all(fd, S(""), &e), e);
}

Test(fs, folders_are_made_with_their_parents_and_keep_their_mode)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    struct stat st;
    (void)umask(0);
    CHECK_OK(fs_mkdir_all(TEMP_PATH(a, d, "x/y//z/"), 0700, &e), e);
    cr_assert_eq(stat(TEMP_PATH(a, d, "x/y"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    CHECK_OK(fs_mkdir_all(TEMP_PATH(a, d, "x/y"), 0755, &e), e);
    cr_assert_eq(stat(TEMP_PATH(a, d, "x/y"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    CHECK_OK(fs_mkdir_all("/", 0755, &e), e);
    CHECK_OK(fs_write_atomic(TEMP_PATH(a, d, "f"), S(""), 0644, &e), e);
    CHECK_FAILS(fs_mkdir_all(TEMP_PATH(a, d, "f"), 0755, &e), ERRC_INTERNAL);
    CHECK_FAILS(fs_mkdir_all(TEMP_PATH(a, d, "f/g"), 0755, &e), ERRC_INTERNAL);
}

Test(fs, a_tree_is_removed_but_links_are_not_followed)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    CHECK_OK(fs_mkdir_all(TEMP_PATH(a, d, "kept/sub"), 0755, &e), e);
    CHECK_OK(fs_write_atomic(TEMP_PATH(a, d, "kept/f"), S("x"), 0644, &e), e);
    CHECK_OK(fs_mkdir_all(TEMP_PATH(a, d, "tree/a/b/c"), 0755, &e), e);
    for (int i = 0; i < 300; i++)
        CHECK_OK(fs_write_atomic(arena_printf(a, "%s/tree/a/%d", d.path, i).ptr, S("x"), 0644, &e), e);
    cr_assert_eq(symlink(TEMP_PATH(a, d, "kept"), TEMP_PATH(a, d, "tree/a/link")), 0);
    cr_assert_eq(symlink("/nonexistent", TEMP_PATH(a, d, "tree/dangling")), 0);
    CHECK_OK(fs_remove_all(TEMP_PATH(a, d, "tree"), &e), e);
    cr_assert_not(fs_exists(TEMP_PATH(a, d, "tree")));
    cr_assert(fs_exists(TEMP_PATH(a, d, "kept/f")));
    cr_assert_eq(symlink(TEMP_PATH(a, d, "kept"), TEMP_PATH(a, d, "link")), 0);
    CHECK_OK(fs_remove_all(TEMP_PATH(a, d, "link"), &e), e);
    cr_assert(fs_exists(TEMP_PATH(a, d, "kept/sub")));
    CHECK_OK(fs_remove_all(TEMP_PATH(a, d, "never-was"), &e), e);
}

Test(fs, a_tree_that_is_absurdly_deep_is_refused)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str path = arena_printf(a, "%s/x", d.path);
    for (int i = 0; i < 140; i++)
        path = arena_printf(a, "%.*s/x", STR_ARG(path));
    CHECK_OK(fs_mkdir_all(path.ptr, 0755, &e), e);
    CHECK_FAILS(fs_remove_all(TEMP_PATH(a, d, "x"), &e), ERRC_INTERNAL);
    cr_assert_eq(e.sys, ELOOP);
    /* From the middle, so that the rest is within the limit. */
    CHECK_OK(fs_remove_all(arena_z(a, str_first(path, strlen(d.path) + 2 * 40)), &e), e);
    CHECK_OK(fs_remove_all(TEMP_PATH(a, d, "x"), &e), e);
}

Test(fs, a_descriptor_closes_itself_once)
{
    int seen;
    {
        FD_AUTO fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        seen = fd;
        cr_assert_eq(fcntl(seen, F_GETFD), FD_CLOEXEC);
    }
    cr_assert_eq(fcntl(seen, F_GETFD), -1);
    int none = -1;
    fs_closep(&none);
    cr_assert_eq(none, -1);
}
