/* SPDX-License-Identifier: Apache-2.0 */
/* Every message survives the way through JSON; unknown fields are ignored, wrong types named. */
#include "agent/message.h"

#include <criterion/criterion.h>

#include "json/json_parse.h"
#include "json/json_write.h"

static const struct json *parse(struct arena *a, str text)
{
    const struct json *v = NULL;
    struct error err = { 0 };
    cr_assert(json_parse(a, text, NULL, &v, &err) == 0, "%s", err.text);
    return v;
}

Test(message, status_comes_back_as_it_was)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_status s = {
        .protocol = AGENT_PROTOCOL,
        .nonce = INT64_MAX,
        .incarnation = S("i"),
        .previous_incarnation = S("p"),
        .term = 7,
        .phase = str_from(agent_phase_name(AGENT_RUNNING)),
        .message = S("ü \"quoted\"\n"),
        .usable = true,
        .timeline = 3,
        .lsn = S("0/3000060"),
        .lag_seconds = 0.1,
        .data_free_bytes = INT64_C(1) << 50,
        .replication = parse(a, S("[{\"name\":\"pg-2\"}]")),
        .restart_primary_first = true,
    };
    str text = json_text(a, agent_status_to_json(a, &s));
    cr_expect(str_index(text, '\n') < 0, "one line of the stream");
    struct agent_status back;
    cr_assert(agent_status_from_json(a, parse(a, text), &back, NULL) == 0);
    cr_expect(str_eq(json_text(a, agent_status_to_json(a, &back)), text));
    cr_expect(back.nonce == INT64_MAX && back.usable && !back.frozen && back.term == 7);
    cr_expect(str_eq(back.message, s.message));
    cr_expect(back.lag_seconds > 0.0999 && back.lag_seconds < 0.1001);
    cr_expect(json_equal(back.replication, s.replication));
    cr_expect(back.task == NULL);
}

Test(message, configuration_and_report_come_back_as_they_were)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_config c = { .version = 5,
                              .term = 2,
                              .timeline = 4,
                              .namespace_ = S("default"),
                              .primary = S("pg-1"),
                              .peers = parse(a, S("[{\"name\":\"pg-1\",\"host\":\"127.0.0.2\",\"port\":5432}]")),
                              .may_initialize = true,
                              .app_password = S("a'b\\c"),
                              .crash_grace_ms = 10 };
    struct agent_config c2;
    const struct json *v = agent_config_to_json(a, &c);
    cr_expect(str_eq(json_str_at(v, "namespace"), S("default")));
    cr_assert(agent_config_from_json(a, parse(a, json_text(a, v)), &c2, NULL) == 0);
    cr_expect(json_equal(agent_config_to_json(a, &c2), v));
    struct agent_report r = { .term = 3, .stopped = true, .clean_shutdown = true, .flush_lsn = S("1/0") };
    struct agent_report r2;
    cr_assert(agent_report_from_json(a, parse(a, json_text(a, agent_report_to_json(a, &r))), &r2, NULL) == 0);
    cr_expect(r2.stopped && r2.clean_shutdown && !r2.frozen && r2.term == 3 && str_eq(r2.flush_lsn, S("1/0")));
}

Test(message, unknown_fields_are_ignored_and_wrong_types_are_named)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_status s;
    struct error err = { 0 };
    cr_expect(agent_status_from_json(a, parse(a, S("{\"term\":3,\"later\":{\"x\":1},\"phase\":null}")), &s, &err) == 0);
    cr_expect(s.term == 3 && s.phase.len == 0);
    cr_expect(agent_status_from_json(a, parse(a, S("{\"term\":\"3\"}")), &s, &err) == ERRC_INVALID);
    cr_expect(strstr(err.text, "\"term\"") != NULL, "%s", err.text);
    cr_expect(agent_status_from_json(a, parse(a, S("{\"usable\":1}")), &s, &err) == ERRC_INVALID);
    cr_expect(agent_status_from_json(a, parse(a, S("[]")), &s, &err) == ERRC_INVALID);
}

Test(message, positions_are_read_and_written_as_postgres_does)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    static const struct {
        str text;
        bool ok;
        uint64_t lsn;
    } cases[] = {
        { S_INIT("0/3000060"), true, 0x3000060 },
        { S_INIT("1A/FFFFFFFF"), true, 0x1AFFFFFFFF },
        { S_INIT("ffffffff/0"), true, 0xFFFFFFFF00000000 },
        { S_INIT(""), false, 0 },
        { S_INIT("0"), false, 0 },
        { S_INIT("/1"), false, 0 },
        { S_INIT("0/123456789"), false, 0 },
        { S_INIT("0/1 "), false, 0 },
        { S_INIT("0/g"), false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t lsn = 0;
        cr_expect(lsn_parse(cases[i].text, &lsn) == cases[i].ok && lsn == cases[i].lsn, "%zu", i);
        if (cases[i].ok)
            cr_expect(str_eq_nocase(lsn_format(a, lsn), cases[i].text));
    }
}
