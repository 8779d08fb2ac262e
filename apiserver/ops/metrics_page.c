/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: the registry of base/metrics, and what the Prometheus client libraries call process_*. */
#include "internal.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/metrics.h"

#define PAGE_MAX (32u << 20)
#define PROC_FILE_MAX 4096

static void close_dirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Without ".", ".." and the descriptor that reads them; -1 when /proc is not there. */
static long count_open_files(void)
{
    CLEANUP(close_dirp) DIR *dir = opendir("/proc/self/fd");
    long count = -3;
    if (!dir)
        return -1;
    while (readdir(dir))
        count++;
    return count;
}

/* Field `index` (from 0) of a file of one line; behind `after` where the line has a free text in it. */
static bool read_field(struct arena *a, const char *path, char after, size_t index, uint64_t *ret)
{
    str text;
    if (fs_read(a, path, PROC_FILE_MAX, &text, NULL) < 0)
        return false;
    if (after)
        text = str_from_offset(text, (size_t)(str_rindex(text, after) + 2));
    for (str one; str_next_field(&text, ' ', &one);)
        if (index-- == 0)
            return str_to_u64(str_trim(one), ret);
    return false;
}

static void write_gauge(struct strbuf *out, const char *name, const char *help, double value)
{
    strbuf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

/* Fields 22 to 24 of proc(5) stat, counted behind the name in parentheses. */
#define STAT_START_TIME 19
#define STAT_VIRTUAL_BYTES 20
#define STAT_RESIDENT_PAGES 21

static double start_time_seconds(uint64_t ticks)
{
    double since_boot = (double)ticks / (double)sysconf(_SC_CLK_TCK);
    double boot = (double)(clock_realtime_ns() - clock_boottime_ns()) / (double)NS_PER_S;
    return boot + since_boot;
}

void ops__write_process_metrics(struct arena *a, struct strbuf *out)
{
    static const char stat[] = "/proc/self/stat";
    uint64_t n = 0;
    struct rlimit limit;
    long files = count_open_files();
    strbuf_addf(out,
                "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n"
                "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
                (double)clock_process_cpu_ns() / (double)NS_PER_S);
    if (files >= 0)
        write_gauge(out, "process_open_fds", "Number of open file descriptors.", (double)files);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        write_gauge(out, "process_max_fds", "Maximum number of open file descriptors.", (double)limit.rlim_cur);
    if (read_field(a, stat, ')', STAT_RESIDENT_PAGES, &n))
        write_gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.",
                    (double)n * (double)sysconf(_SC_PAGESIZE));
    if (read_field(a, stat, ')', STAT_VIRTUAL_BYTES, &n))
        write_gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", (double)n);
    if (read_field(a, stat, ')', STAT_START_TIME, &n))
        write_gauge(out, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                    start_time_seconds(n));
}

void ops__serve_metrics(struct arena *a, struct page_answer *ret)
{
    STRBUF_AUTO text = STRBUF_INIT(PAGE_MAX);
    metrics_write(&text);
    ops__write_process_metrics(a, &text);
    ret->content_type = S("text/plain; version=0.0.4; charset=utf-8");
    ret->body = strbuf_to_arena(&text, a);
}
