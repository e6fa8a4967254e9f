// SPDX-License-Identifier: MIT
// What inspect prints with: sizes, escapes, tables, colour; and its line of progress.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/progress.h"
#include "inspect/text.h"

// What the function under test wrote to a descriptor. The real one is put back.
static char written[4096];
static FILE *sink;
static int saved;

static void begin_capture(int fd)
{
    fflush(NULL);
    sink = tmpfile();
    assert_non_null(sink);
    saved = dup(fd);
    assert_true(dup2(fileno(sink), fd) == fd);
}

static void end_capture(int fd)
{
    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(sink);
    written[fread(written, 1, sizeof written - 1, sink)] = '\0';
    fclose(sink);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } of[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {4096, "4 KiB"},
        {1536, "1.5 KiB"},
        {1048575, "1023.9 KiB"},
        {3ull << 29, "1.5 GiB"},
        {1ull << 40, "1 TiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char out[TEXT_SIZE];
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        assert_string_equal(text_size(of[i].bytes, out), of[i].text);
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(text_rights(true, true), "rw");
    assert_string_equal(text_rights(true, false), "r");
    assert_string_equal(text_rights(false, true), "w");
    assert_string_equal(text_rights(false, false), "-");
}

static void nothing_raw(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(text_safe("plain", out, sizeof out), "plain");
    assert_string_equal(text_safe("a\033[31m\n\xC3\xA4\x7F", out, sizeof out),
                        "a\\x1b[31m\\x0a\\xc3\\xa4\\x7f");
    // Cut, and never in the middle of an escape.
    assert_string_equal(text_safe("abcdef", out, 4), "abc");
    assert_string_equal(text_safe("ab\n", out, 6), "ab");
    assert_string_equal(text_safe("", out, 1), "");
}

static const char *const heads[] = {"name", "count", "remark"};

static void print_table(void)
{
    struct text_table table;
    text_table_begin(&table, 3, heads, "lrl");
    text_cell(&table, TEXT_PLAIN, "a");
    text_cell(&table, TEXT_PLAIN, "%d", 123456);
    text_cell(&table, TEXT_BAD, "odd");
    text_cell(&table, TEXT_PLAIN, "longer");
    text_cell(&table, TEXT_PLAIN, "%d", 7);
    text_cell(&table, TEXT_PLAIN, "%s", "");
    begin_capture(STDOUT_FILENO);
    bool whole = text_table_print(&table, "> ");
    end_capture(STDOUT_FILENO);
    assert_true(whole);
}

static void tables(void **state)
{
    (void)state;
    assert_true(text_choose_colour("never"));
    print_table();
    assert_string_equal(written, "> name     count  remark\n"
                                 "> a       123456  odd\n"
                                 "> longer       7\n");
    // Colour is put around what is printed, and changes no column.
    assert_true(text_choose_colour("always"));
    print_table();
    assert_string_equal(written, "> \033[1mname\033[0m     \033[1mcount\033[0m  \033[1mremark\033[0m\n"
                                 "> a       123456  \033[1;31modd\033[0m\n"
                                 "> longer       7\n");
    text_choose_colour("never");
}

static void large_table(void **state)
{
    (void)state;
    static const char *const one[] = {"n"};
    struct text_table table;
    text_table_begin(&table, 1, one, "r");
    for (int i = 0; i < 500; i++)
        text_cell(&table, TEXT_PLAIN, "%d", i);
    begin_capture(STDOUT_FILENO);
    assert_true(text_table_print(&table, ""));
    end_capture(STDOUT_FILENO);
    assert_memory_equal(written, "  n\n  0\n  1\n", 12);
    assert_string_equal(written + strlen(written) - 4, "499\n");
}

static void colour_words(void **state)
{
    (void)state;
    assert_false(text_choose_colour("yes"));
    assert_false(text_choose_colour(""));
    // Standard output is a file here.
    assert_true(text_choose_colour("auto"));
    begin_capture(STDOUT_FILENO);
    text_choose_colour("auto");
    text_print(TEXT_BAD, "x");
    text_choose_colour("always");
    text_print(TEXT_PLAIN, "y");
    text_print(TEXT_FAINT, "z%d", 1);
    end_capture(STDOUT_FILENO);
    assert_string_equal(written, "xy\033[2mz1\033[0m");
    text_choose_colour("never");
}

static void progress_waits_a_second(void **state)
{
    (void)state;
    begin_capture(STDERR_FILENO);
    progress_always(true);
    progress_begin("quick", 10);
    progress_step(1);
    progress_end();
    end_capture(STDERR_FILENO);
    assert_string_equal(written, "");
    begin_capture(STDERR_FILENO);
    progress_begin("slow\033work", 200);
    usleep(1050000);
    progress_step(50);
    progress_end();
    progress_step(52); // nothing is at work
    end_capture(STDERR_FILENO);
    // How long a second takes is the machine's business.
    assert_memory_equal(written, "\rslow?work: 25%, ", 17);
    const char *left = strstr(written, " s left");
    assert_non_null(left);
    assert_int_equal(written[strlen(written) - 1], '\r');
    assert_null(strchr(written, '\033'));
    // No terminal: nothing.
    begin_capture(STDERR_FILENO);
    progress_always(false);
    progress_begin("slow", 0);
    usleep(1050000);
    progress_step(50);
    progress_end();
    end_capture(STDERR_FILENO);
    assert_string_equal(written, "");
}

static void signals_are_marks(void **state)
{
    (void)state;
    assert_false(progress_interrupted());
    progress_catch_signals();
    raise(SIGTERM);
    assert_true(progress_interrupted());
    assert_int_equal(progress_exit_status(), 143);
    raise(SIGINT);
    assert_int_equal(progress_exit_status(), 130);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(words),
        cmocka_unit_test(nothing_raw),
        cmocka_unit_test(tables),
        cmocka_unit_test(large_table),
        cmocka_unit_test(colour_words),
        cmocka_unit_test(progress_waits_a_second),
        cmocka_unit_test(signals_are_marks),
    };
    return cmocka_run_group_tests_name("inspect: text and progress", tests, NULL, NULL);
}
