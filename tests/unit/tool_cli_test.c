// SPDX-License-Identifier: MIT
// What the subcommands share: sizes, words, error lines, files written whole or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli.h"
#include "file.h"
#include "json.h"
#include "names.h"

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"8K", 8192},
        {"8k", 8192},
        {"8M", 8388608},
        {"1G", 1073741824},
        {"8589934592G", 1ull << 63},
        {"9223372036854775808", 1ull << 63},
    };
    static const char *const bad[] = {"",
                                      " 8M",
                                      "M",
                                      "-1M",
                                      "+1M",
                                      "8MB",
                                      "8T",
                                      "0x8",
                                      "8 ",
                                      "1.5",
                                      "8589934593G",
                                      "9223372036854775809",
                                      "8Mx",
                                      "99999999999999999999"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(cli_parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (cli_parse_size(bad[i], &bytes))
            fail_msg("\"%s\" was taken as %llu", bad[i], (unsigned long long)bytes);
}

static void words(void **state)
{
    (void)state;
    enum dam_policy policy;
    static const char *const policies[] = {"freeze", "preserve", "scratch", "block"};
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(policy_from_word(policies[i], &policy));
        assert_int_equal(policy, i);
        assert_string_equal(name_policy(i), policies[i]);
    }
    assert_false(policy_from_word("Freeze", &policy));
    assert_false(policy_from_word("", &policy));
    assert_string_equal(name_policy(4), "unknown");
    assert_string_equal(name_stop(0), "taken over");
    assert_string_equal(name_stop(13), "memmap=exactmap hides the reservation of the pool");
    assert_string_equal(name_stop(UINT32_MAX), "unknown");
    assert_string_equal(name_phase(5), "verify");
    assert_string_equal(name_finding(32), "mapping into the crash region or the pool: cut out");
    assert_string_equal(name_severity(2), "error");
    assert_string_equal(name_severity(3), "unknown");
    assert_string_equal(name_error(1), "the pool is exhausted");
    assert_string_equal(name_unit_status(2), "translation off, left alone");
    assert_string_equal(name_old_kind(1), "translated");
}

static void error_lines(void **state)
{
    (void)state;
    struct tool_error error;
    assert_int_equal(tool_fail(&error, TOOL_NO_NOTE, "a%sb", "\n\x1B\x7F"), TOOL_NO_NOTE);
    assert_string_equal(error.text, "a???b");
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    tool_fail(&error, TOOL_SYSTEM, "%s", longer);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void json_text(void **state)
{
    (void)state;
    struct json_object *o = json_object_new_object(), *value;
    json_put_text(o, "text", "a\"\xC3\x28\n");
    json_put_hex(o, "hex", UINT64_MAX);
    json_put_number(o, "number", UINT64_MAX);
    json_object_object_get_ex(o, "text", &value);
    assert_string_equal(json_object_get_string(value), "a\"?(?");
    json_object_object_get_ex(o, "hex", &value);
    assert_string_equal(json_object_get_string(value), "0xffffffffffffffff");
    json_object_object_get_ex(o, "number", &value);
    assert_string_equal(json_object_get_string(value), "18446744073709551615");
    json_object_put(o);
}

static char folder[] = "/tmp/cofferdam-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[2][128];
    static int turn;
    turn ^= 1;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void expect_file(const char *path, const char *text)
{
    struct tool_error error;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(path, 1000, &bytes, &size, &error), TOOL_OK);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

static void written_whole(void **state)
{
    (void)state;
    struct tool_error error;
    struct stat st;
    umask(022);
    assert_int_equal(file_write_atomic(in_folder("a"), "one", 3, &error), TOOL_OK);
    expect_file(in_folder("a"), "one");
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(symlink("a", in_folder("link")), 0);
    assert_int_equal(file_write_atomic(in_folder("link"), "three", 5, &error), TOOL_OK);
    expect_file(in_folder("a"), "three"); // the link still leads there
    assert_true(file_same(in_folder("a"), in_folder("link")));
    assert_false(file_same(in_folder("a"), in_folder("none")));
    assert_int_equal(files_in_folder(), 2);
    unlink(in_folder("a"));
    unlink(in_folder("link"));
}

static void not_written(void **state)
{
    (void)state;
    struct tool_error error;
    assert_int_equal(file_write_atomic(in_folder("none/a"), "one", 3, &error), TOOL_SYSTEM);
    assert_non_null(strstr(error.text, "none/a: cannot be created: No such file"));
    assert_int_equal(mkdir(in_folder("d"), 0700), 0);
    assert_int_equal(file_write_atomic(in_folder("d"), "one", 3, &error), TOOL_SYSTEM);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(file_write_atomic("/dev/null", "one", 3, &error), TOOL_SYSTEM);
    assert_int_equal(files_in_folder(), 1);
    rmdir(in_folder("d"));
}

// A full disk: nothing of the new file is left behind, and the old one stays.
static void disk_full(void **state)
{
    (void)state;
    struct tool_error error;
    static const char zeros[65536];
    assert_int_equal(file_write_atomic(in_folder("a"), "old", 3, &error), TOOL_OK);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(file_write_atomic(in_folder("a"), zeros, sizeof zeros, &error) == TOOL_SYSTEM ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_file(in_folder("a"), "old");
    assert_int_equal(files_in_folder(), 1);
    unlink(in_folder("a"));
}

static void read_within_bounds(void **state)
{
    (void)state;
    struct tool_error error;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_write_atomic(in_folder("a"), "12345", 5, &error), TOOL_OK);
    assert_int_equal(file_read(in_folder("a"), 5, &bytes, &size, &error), TOOL_OK);
    free(bytes);
    assert_int_equal(file_read(in_folder("a"), 4, &bytes, &size, &error), TOOL_BAD_INPUT);
    assert_non_null(strstr(error.text, "longer than 4 bytes"));
    assert_int_equal(file_read(in_folder("none"), 4, &bytes, &size, &error), TOOL_BAD_INPUT);
    assert_int_equal(file_read(folder, 4, &bytes, &size, &error), TOOL_BAD_INPUT);
    assert_non_null(strstr(error.text, "is a directory"));
    // A file that tells no size, as in sysfs, is read to its end, and no further than it may be.
    assert_int_equal(file_read("/proc/self/status", 100000, &bytes, &size, &error), TOOL_OK);
    assert_true(size > 100);
    free(bytes);
    assert_int_equal(file_read("/dev/zero", 100000, &bytes, &size, &error), TOOL_BAD_INPUT);
    assert_int_equal(file_write_atomic(in_folder("a"), "", 0, &error), TOOL_OK);
    assert_int_equal(file_read(in_folder("a"), 4, &bytes, &size, &error), TOOL_OK);
    assert_int_equal(size, 0);
    free(bytes);
    unlink(in_folder("a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),       cmocka_unit_test(words),
        cmocka_unit_test(error_lines), cmocka_unit_test(json_text),
        cmocka_unit_test(not_written), cmocka_unit_test(written_whole),
        cmocka_unit_test(disk_full),   cmocka_unit_test(read_within_bounds),
    };
    return cmocka_run_group_tests_name("tool: what commands share", tests, make_folder, remove_folder);
}
