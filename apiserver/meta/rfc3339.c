/* SPDX-License-Identifier: Apache-2.0 */
/* Times as API objects carry them, and ages as kubectl prints them. UTC everywhere; no time zone tables. */
#include "meta/rfc3339.h"

#include <time.h>

#define NS_PER_SECOND 1000000000

struct instant {
    int64_t seconds; /* since 1970, rounded down */
    int64_t ns;
};

static struct instant split(int64_t ns)
{
    struct instant t = { ns / NS_PER_SECOND, ns % NS_PER_SECOND };
    if (t.ns < 0) {
        t.seconds--;
        t.ns += NS_PER_SECOND;
    }
    return t;
}

static struct tm calendar(int64_t seconds)
{
    struct tm tm;
    time_t t = (time_t)seconds;
    (void)gmtime_r(&t, &tm); /* fails only for years that int64 nanoseconds cannot reach */
    return tm;
}

/* Two digits at p. */
static void put_two(char *p, int n)
{
    p[0] = (char)('0' + n / 10);
    p[1] = (char)('0' + n % 10);
}

/* By hand: every object that is written has one. */
str rfc3339_seconds(struct arena *a, int64_t realtime_ns)
{
    struct tm tm = calendar(split(realtime_ns).seconds);
    char text[] = "0000-00-00T00:00:00Z";
    put_two(text, (tm.tm_year + 1900) / 100);
    put_two(text + 2, (tm.tm_year + 1900) % 100);
    put_two(text + 5, tm.tm_mon + 1);
    put_two(text + 8, tm.tm_mday);
    put_two(text + 11, tm.tm_hour);
    put_two(text + 14, tm.tm_min);
    put_two(text + 17, tm.tm_sec);
    return arena_str(a, str_from(text));
}

str rfc3339_micros(struct arena *a, int64_t realtime_ns)
{
    struct instant t = split(realtime_ns);
    struct tm tm = calendar(t.seconds);
    return arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                        tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(t.ns / 1000));
}

/* Takes exactly `digits` digits from the front; false when there are fewer. */
static bool take_number(str *s, size_t digits, int *ret)
{
    int n = 0;
    if (s->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = s->ptr[i];
        if (c < '0' || c > '9')
            return false;
        n = n * 10 + (c - '0');
    }
    *ret = n;
    *s = str_from_offset(*s, digits);
    return true;
}

static bool take_char(str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = str_from_offset(*s, 1);
    return true;
}

/* Any number of digits; those beyond nanoseconds are cut. */
static bool take_fraction(str *s, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (!take_char(s, '.'))
        return true;
    int64_t unit = NS_PER_SECOND / 10;
    int digit;
    bool found = false;
    for (; take_number(s, 1, &digit); unit /= 10) {
        *ret_ns += digit * unit;
        found = true;
    }
    return found;
}

static bool take_offset(str *s, int *ret_seconds)
{
    *ret_seconds = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    int sign = take_char(s, '+') ? 1 : take_char(s, '-') ? -1 : 0;
    int hours, minutes;
    if (!sign || !take_number(s, 2, &hours) || !take_char(s, ':') || !take_number(s, 2, &minutes))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static bool take_date(str *s, struct tm *tm)
{
    int year, month, day;
    if (!take_number(s, 4, &year) || !take_char(s, '-') || !take_number(s, 2, &month) || !take_char(s, '-') ||
        !take_number(s, 2, &day))
        return false;
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (month < 1 || month > 12)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int length = lengths[month - 1] + (month == 2 && is_leap);
    *tm = (struct tm) { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    return day >= 1 && day <= length;
}

static bool take_time(str *s, struct tm *tm)
{
    if (!take_char(s, 'T') && !take_char(s, 't'))
        return false;
    return take_number(s, 2, &tm->tm_hour) && take_char(s, ':') && take_number(s, 2, &tm->tm_min) &&
           take_char(s, ':') && take_number(s, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec < 60;
}

bool rfc3339_parse(str s, int64_t *ret_realtime_ns)
{
    struct tm tm;
    int64_t ns;
    int offset;
    if (!take_date(&s, &tm) || !take_time(&s, &tm) || !take_fraction(&s, &ns) || !take_offset(&s, &offset) || s.len)
        return false;
    int64_t seconds = (int64_t)timegm(&tm) - offset;
    return !__builtin_mul_overflow(seconds, NS_PER_SECOND, &seconds) &&
           !__builtin_add_overflow(seconds, ns, ret_realtime_ns);
}

static str two_units(struct arena *a, int64_t big, char big_unit, int64_t small, char small_unit)
{
    if (small == 0)
        return arena_printf(a, "%lld%c", (long long)big, big_unit);
    return arena_printf(a, "%lld%c%lld%c", (long long)big, big_unit, (long long)small, small_unit);
}

/* Two units while the first is a small number, one beyond; seconds up to two minutes. */
str rfc3339_age(struct arena *a, int64_t ns)
{
    int64_t seconds = ns / NS_PER_SECOND, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (seconds < -1)
        return S("<invalid>");
    if (seconds < 0)
        return S("0s");
    if (seconds < 120)
        return two_units(a, seconds, 's', 0, 0);
    if (minutes < 10)
        return two_units(a, minutes, 'm', seconds % 60, 's');
    if (minutes < 180)
        return two_units(a, minutes, 'm', 0, 0);
    if (hours < 8)
        return two_units(a, hours, 'h', minutes % 60, 'm');
    if (hours < 48)
        return two_units(a, hours, 'h', 0, 0);
    if (days < 8)
        return two_units(a, days, 'd', hours % 24, 'h');
    if (days < 365 * 2)
        return two_units(a, days, 'd', 0, 0);
    if (days < 365 * 8)
        return two_units(a, days / 365, 'y', days % 365, 'd');
    return two_units(a, days / 365, 'y', 0, 0);
}
