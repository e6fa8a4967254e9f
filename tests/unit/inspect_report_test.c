// SPDX-License-Identifier: MIT
// The report's page around its data: no string can end the element that holds them, and nothing is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/report.h"
#include "json.h"

static const char *between(const char *page, size_t size, const char *from, const char *to, size_t *length)
{
    const char *start = memmem(page, size, from, strlen(from));
    assert_non_null(start);
    start += strlen(from);
    const char *end = memmem(start, size - (size_t)(start - page), to, strlen(to));
    assert_non_null(end);
    *length = (size_t)(end - start);
    return start;
}

static void hostile_strings_stay_strings(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "]]>",
        "&lt;b&gt;",
        "\"};alert(1)//",
        "\\u003c",
        "@DATA@",
        "\xE2\x80\xA8",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        struct json_object *data = json_object_new_object();
        json_put_text(data, "text", hostile[i]);
        size_t size = 0, length;
        char *page = report_page(data, &size);
        assert_non_null(page);
        const char *inside =
            between(page, size, "<script id=\"data\" type=\"application/json\">", "</script>", &length);
        // No character that HTML looks for, and none that is not ASCII.
        for (size_t k = 0; k < length; k++)
            assert_true(inside[k] >= 0x20 && inside[k] < 0x7F && strchr("<>&", inside[k]) == NULL);
        char *json = strndup(inside, length);
        struct json_object *back = json_tokener_parse(json), *text = NULL;
        assert_non_null(back);
        assert_true(json_object_object_get_ex(back, "text", &text));
        const char *want = i + 1 < sizeof hostile / sizeof hostile[0] ? hostile[i] : "???";
        assert_string_equal(json_object_get_string(text), want);
        json_object_put(back);
        free(json);
        free(page);
        json_object_put(data);
    }
}

// The page itself: one policy that allows nothing but its own two elements, and no address of anything else.
static void the_page_needs_nothing(void **state)
{
    (void)state;
    struct json_object *data = json_object_new_object();
    size_t size = 0, length;
    char *page = report_page(data, &size);
    assert_non_null(page);
    const char *policy =
        between(page, size, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\"", &length);
    assert_memory_equal(policy, "default-src 'none'; script-src 'sha256-", 39);
    assert_null(memmem(policy, length, "unsafe", 6));
    assert_null(memmem(policy, length, "http", 4));
    static const char *const words[] = {"@SCRIPT",   "@STYLE",         "@DATA",          " src=",
                                        "href=",     "https:",         "@import",        "innerHTML",
                                        "outerHTML", "insertAdjacent", "document.write", "eval("};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_null(memmem(page, size, words[i], strlen(words[i])));
    assert_memory_equal(page + size - 8, "</html>\n", 8);
    free(page);
    json_object_put(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_strings_stay_strings),
        cmocka_unit_test(the_page_needs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
