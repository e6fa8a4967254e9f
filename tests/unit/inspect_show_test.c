// SPDX-License-Identifier: MIT
// What the verbs of inspect read and write with: addresses, pieces of memory, JSON that is printed as it
// comes, entries in words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/show.h"
#include "inspect/vtd.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"0x1000", 0x1000},
        {"1000", 0x1000},
        {"0XfF", 0xFF},
        {"ffffffffffffffff", UINT64_MAX},
        {"0x00000000000000000001", 1},
    };
    static const char *const bad[] = {
        "", "0x", "-1", "+1", " 1", "1 ", "0x 1", "0x-1", "g", "1g", "10000000000000000"};
    uint64_t value;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(show_parse_address(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (show_parse_address(bad[i], &value))
            fail_msg("\"%s\" was taken as %llx", bad[i], (unsigned long long)value);
}

static void pieces_of_memory(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t first, last;
    } good[] = {
        {"1000", 0x1000, 0x1000},
        {"0x1000-0x1fff", 0x1000, 0x1FFF},
        {"1000-1000", 0x1000, 0x1000},
        {"0x1000+4096", 0x1000, 0x1FFF},
        {"0x1000+0x1000", 0x1000, 0x1FFF},
        {"0+1G", 0, 0x3FFFFFFF},
        {"ffffffffffffffff+1", UINT64_MAX, UINT64_MAX},
        {"0-ffffffffffffffff", 0, UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "1-",
                                      "1+",
                                      "-1",
                                      "1-0",
                                      "1+0",
                                      "1-2-3",
                                      "1+2+3",
                                      "1+-2",
                                      "1+4Q",
                                      "ffffffffffffffff+2",
                                      "0000000000000000000000000000000001"};
    uint64_t first, last;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(show_parse_range(good[i].text, &first, &last));
        assert_true(first == good[i].first && last == good[i].last);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (show_parse_range(bad[i], &first, &last))
            fail_msg("\"%s\" was taken as %llx-%llx", bad[i], (unsigned long long)first,
                     (unsigned long long)last);
}

static void json_as_it_comes(void **state)
{
    (void)state;
    FILE *sink = tmpfile();
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_true(dup2(fileno(sink), STDOUT_FILENO) == STDOUT_FILENO);
    struct json_out out = {0};
    json_out_object(&out, NULL);
    json_out_text(&out, "text", "a\"\n\xFF");
    json_out_list(&out, "empty");
    json_out_end(&out);
    json_out_list(&out, "list");
    json_out_value(&out, NULL, json_object_new_int(1));
    json_out_value(&out, NULL, NULL);
    json_out_object(&out, NULL);
    json_out_hex(&out, "hex", UINT64_MAX);
    json_out_number(&out, "number", UINT64_MAX);
    json_out_bool(&out, "bool", true);
    show_json_end(&out, true); // with the list and the object in it still open
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(sink);
    char written[1000];
    written[fread(written, 1, sizeof written - 1, sink)] = '\0';
    fclose(sink);
    assert_string_equal(written, "{\n"
                                 "  \"text\": \"a\\\"??\",\n"
                                 "  \"empty\": [],\n"
                                 "  \"list\": [\n"
                                 "    1,\n"
                                 "    null,\n"
                                 "    {\n"
                                 "      \"hex\": \"0xffffffffffffffff\",\n"
                                 "      \"number\": 18446744073709551615,\n"
                                 "      \"bool\": true\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"incomplete\": true,\n"
                                 "  \"partial\": false\n"
                                 "}\n");
}

static void entries_in_words(void **state)
{
    (void)state;
    const struct inspect_unit legacy = {.mode = "legacy"}, scalable = {.mode = "scalable"};
    struct inspect_requester r = {.unit = &legacy, .words = 2, .raw = {0x5003, 0x702}};
    struct entry_fields fields;
    char text[256];
    vtd_entry_fields(&r, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text),
                        "present, faults off, second stage, page table 0x5000, levels 4, domain 7");
    assert_string_equal(entry_fields_text(&fields, text, 12), "present, fa"); // cut
    r.raw[0] = 0;
    vtd_entry_fields(&r, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text), "not present");
    r.raw[0] = 0x9; // type 2; the pointer means nothing
    vtd_entry_fields(&r, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text),
                        "present, pass-through, levels 4, domain 7");

    // The upper half of a scalable root entry is for devices 16 and up.
    struct inspect_requester s = {.unit = &scalable, .rid = 0xF8, .words = 8, .raw = {0x6089, 3, 0x7004}};
    const struct inspect_step root = {.what = "root entry", .words = 2, .raw = {0x1001, 0x2001}},
                              context = {.what = "context entry", .words = 4, .raw = {0x340F, 0x5}};
    vtd_step_fields(&s, &root, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text), "present, context table 0x2000");
    s.rid = 0x10;
    vtd_step_fields(&s, &root, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text), "present, context table 0x1000");
    vtd_step_fields(&s, &context, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text),
                        "present, faults off, device TLB, requests with PASID, PASID directory 0x3000, "
                        "directory entries 512, PASID of requests without 5");
    vtd_entry_fields(&s, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text),
                        "present, second stage, domain 3, second-stage table 0x6000, second-stage levels 4");
    s.raw[0] = 0x41;
    vtd_entry_fields(&s, &fields);
    assert_string_equal(entry_fields_text(&fields, text, sizeof text),
                        "present, first stage, domain 3, first-stage table 0x7000, first-stage levels 5");
    struct json_object *o = entry_fields_json(&fields), *value;
    assert_true(json_object_object_get_ex(o, "first_stage_table", &value));
    assert_string_equal(json_object_get_string(value), "0x7000");
    json_object_put(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(pieces_of_memory),
        cmocka_unit_test(json_as_it_comes),
        cmocka_unit_test(entries_in_words),
    };
    return cmocka_run_group_tests_name("inspect: arguments, JSON, entries", tests, NULL, NULL);
}
