// SPDX-License-Identifier: MIT
// The capture kernel's command line: cut into words as Linux cuts it, every cofferdam.* word, every bad one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pure/cmdline.h"
#include "pure/number.h"

// In memory of exactly its length, without a terminator, so that the sanitizer sees every byte read too many.
static struct cmdline_options parse(const char *line)
{
    size_t len = strlen(line);
    char *exact = malloc(len ? len : 1);
    memcpy(exact, line, len);
    struct cmdline_options options;
    cmdline_parse(exact, len, &options);
    free(exact);
    return options;
}

static void assert_choice(const struct cmdline_options *o, size_t i, unsigned segment, unsigned rid,
                          enum dam_policy policy)
{
    assert_true(i < o->choice_count);
    assert_int_equal(o->choices[i].requester.segment, segment);
    assert_int_equal(o->choices[i].requester.rid, rid);
    assert_int_equal(o->choices[i].policy, policy);
}

static void empty_line(void **state)
{
    (void)state;
    const char *lines[] = {"",          " ",           "\t \n",          "quiet",
                           "cofferdam", "cofferdam=1", "xcofferdam.off", "=cofferdam.off"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct cmdline_options o = parse(lines[i]);
        assert_false(o.policy_given || o.verbose || o.quiet || o.off || o.exactmap || o.has_elfcorehdr);
        assert_int_equal(o.choice_count, 0);
        assert_int_equal(o.words, 0);
        assert_int_equal(o.bad_words, 0);
        assert_int_equal(o.kept_size, 0);
        assert_int_equal(o.consoles.serial, CONSOLE_NONE);
    }
}

static void each_policy(void **state)
{
    (void)state;
    const struct {
        const char *line;
        enum dam_policy policy;
    } cases[] = {
        {"cofferdam.policy=preserve", DAM_POLICY_PRESERVE},
        {"cofferdam.policy=freeze", DAM_POLICY_FREEZE},
        {"quiet cofferdam.policy=scratch root=/dev/sda", DAM_POLICY_SCRATCH},
        {"cofferdam.policy=\"block\"", DAM_POLICY_BLOCK},
        {"\"cofferdam.policy=block\"", DAM_POLICY_BLOCK},
        {"cofferdam.policy=block cofferdam.policy=preserve", DAM_POLICY_PRESERVE}, // the last one wins
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cmdline_options o = parse(cases[i].line);
        assert_true(o.policy_given);
        assert_int_equal(o.policy, cases[i].policy);
        assert_int_equal(o.bad_words, 0);
    }
}

static void one_requester(void **state)
{
    (void)state;
    struct cmdline_options o = parse("cofferdam.policy.00:1f.2=block cofferdam.policy.0001:a0:00.7=preserve "
                                     "cofferdam.policy.3:4.1=scratch cofferdam.policy.00:1f.2=freeze");
    assert_int_equal(o.bad_words, 0);
    assert_int_equal(o.words, 4);
    assert_int_equal(o.choice_count, 3);
    assert_false(o.policy_given);
    assert_choice(&o, 0, 0, 0x00FA, DAM_POLICY_FREEZE); // named again: the later policy
    assert_choice(&o, 1, 1, 0xA007, DAM_POLICY_PRESERVE);
    assert_choice(&o, 2, 0, 0x0321, DAM_POLICY_SCRATCH);
}

static void switches(void **state)
{
    (void)state;
    struct cmdline_options o = parse("cofferdam.verbose cofferdam.quiet cofferdam.off");
    assert_true(o.verbose && o.quiet && o.off);
    assert_int_equal(o.words, 3);
    assert_int_equal(o.kept_size, 48);
    assert_memory_equal(o.kept, "cofferdam.verbose\0cofferdam.quiet\0cofferdam.off\0", 48);
}

static void one_pasid(void **state)
{
    (void)state;
    struct cmdline_options o =
        parse("cofferdam.policy.00:03.0=block cofferdam.policy.00:03.0@2a=preserve "
              "cofferdam.policy.00:03.0@fffff=scratch cofferdam.policy.00:03.0@2A=freeze");
    assert_int_equal(o.bad_words, 0);
    assert_int_equal(o.choice_count, 3);
    assert_choice(&o, 0, 0, 0x18, DAM_POLICY_BLOCK);
    assert_choice(&o, 1, 0, 0x18, DAM_POLICY_FREEZE);
    assert_choice(&o, 2, 0, 0x18, DAM_POLICY_SCRATCH);
    assert_int_equal(o.choices[0].pasid, DAM_ANY_PASID);
    assert_int_equal(o.choices[1].pasid, 0x2A);
    assert_int_equal(o.choices[2].pasid, 0xFFFFF);
}

static void two_way_words(void **state)
{
    (void)state;
    struct cmdline_options o = parse("quiet");
    assert_false(o.raise || o.broken_scratch || o.mask_irqs);
    assert_int_equal(o.view, DAM_VIEW_AUTO);
    o = parse("cofferdam.raise=always cofferdam.broken=scratch cofferdam.irq=mask cofferdam.iommu=hide");
    assert_true(o.raise && o.broken_scratch && o.mask_irqs);
    assert_int_equal(o.view, DAM_VIEW_HIDE);
    o = parse("cofferdam.raise=always cofferdam.raise=never cofferdam.broken=block cofferdam.irq=keep "
              "cofferdam.iommu=hide cofferdam.iommu=show");
    assert_false(o.raise || o.broken_scratch || o.mask_irqs);
    assert_int_equal(o.view, DAM_VIEW_SHOW);
    assert_int_equal(o.bad_words, 0);
}

static void named_windows(void **state)
{
    (void)state;
    struct cmdline_options o = parse("cofferdam.window=00:03.0,0001:a0:00.7 cofferdam.window=1f:02.1");
    assert_int_equal(o.bad_words, 0);
    assert_int_equal(o.window_count, 3);
    assert_int_equal(o.windows[0].rid, 0x18);
    assert_int_equal(o.windows[1].segment, 1);
    assert_int_equal(o.windows[1].rid, 0xA007);
    assert_int_equal(o.windows[2].rid, 0x1F11);
    o = parse("cofferdam.window=00:03.0,,00:04.0"); // a list that is half understood is not used
    assert_int_equal(o.bad_words, 1);
    assert_int_equal(o.window_count, 0);
}

// Documentation/admin-guide/kernel-parameters.txt; drivers/iommu/intel/iommu.c and arch/x86/kernel/pci-dma.c
// compare the beginnings of comma-separated parts.
static void iommu_driver_off(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool intel, amd;
    } cases[] = {
        {"quiet", false, false},
        {"intel_iommu=off", true, false},
        {"intel_iommu=on", false, false},
        {"intel_iommu=on,sm_on", false, false},
        {"intel_iommu=sm_off", false, false},
        {"intel_iommu=sm_on,off", true, false},
        {"intel_iommu=off intel_iommu=on", false, false},
        {"intel_iommu=on intel_iommu=off", true, false},
        {"intel_iommu=off intel_iommu=strict", true, false},
        {"iommu=off", true, true},
        {"iommu=pt", false, false},
        {"iommu=soft,off", true, true},
        {"iommu=off intel_iommu=on", true, true},
        {"amd_iommu=off", false, true},
        {"amd_iommu=fullflush,off", false, true},
        {"amd_iommu=off intel_iommu=off", true, true},
        {"amd_iommu=fullflush", false, false},
        {"intel_iommu_off", false, false},
        {"-- intel_iommu=off", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].line);
        assert_int_equal(cmdline_turns_off(cases[i].line, len, "intel_iommu"), cases[i].intel);
        assert_int_equal(cmdline_turns_off(cases[i].line, len, "amd_iommu"), cases[i].amd);
    }
    assert_false(cmdline_turns_off("iommu=off", 8, "intel_iommu")); // no further than it goes
}

static void bad_words(void **state)
{
    (void)state;
    const char *words[] = {
        "cofferdam.",
        "cofferdam.polcy=freeze",
        "cofferdam.policy",
        "cofferdam.policy=",
        "cofferdam.policy=freez",
        "cofferdam.policy=freezer",
        "cofferdam.policy=FREEZE",
        "cofferdam.off=1",
        "cofferdam.verbose=",
        "cofferdam.policy.=block",
        "cofferdam.policy.00:1f.2",
        "cofferdam.policy.00:1f.2=",
        "cofferdam.policy.00:1f.8=block",
        "cofferdam.policy.00:20.0=block",
        "cofferdam.policy.100:00.0=block",
        "cofferdam.policy.10000:00:00.0=block",
        "cofferdam.policy.0000:00:00.00=block",
        "cofferdam.policy.00:00.0x=block",
        "cofferdam.policy.00:00=block",
        "cofferdam.policy.00.0=block",
        "cofferdam.policy.:00:00.0=block",
        "cofferdam.policy.00:00:00:00.0=block",
        "cofferdam.policy.-1:00.0=block",
        "cofferdam.policy.00:03.0@=block",
        "cofferdam.policy.00:03.0@100000=block",
        "cofferdam.policy.00:03.0@1x=block",
        "cofferdam.policy.@1=block",
        "cofferdam.raise",
        "cofferdam.raise=",
        "cofferdam.raise=yes",
        "cofferdam.broken=freeze",
        "cofferdam.irq=off",
        "cofferdam.iommu=",
        "cofferdam.iommu=hidden",
        "cofferdam.window=",
        "cofferdam.window=00:03.0,",
        "cofferdam.window=00:03",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct cmdline_options o = parse(words[i]);
        assert_int_equal(o.words, 1);
        assert_int_equal(o.bad_words, 1);
        assert_int_equal(o.bad[0].number, 1);
        assert_string_equal(o.kept + o.bad[0].offset, words[i]);
        assert_int_equal(o.choice_count, 0);
        assert_false(o.policy_given || o.off || o.verbose);
    }
}

static void bad_word_among_good_ones(void **state)
{
    (void)state;
    struct cmdline_options o = parse("cofferdam.quiet a cofferdam.x b cofferdam.policy=block cofferdam.y=1");
    assert_int_equal(o.words, 4);
    assert_int_equal(o.bad_words, 2);
    assert_int_equal(o.bad[0].number, 2);
    assert_string_equal(o.kept + o.bad[0].offset, "cofferdam.x");
    assert_int_equal(o.bad[1].number, 4);
    assert_string_equal(o.kept + o.bad[1].offset, "cofferdam.y=1");
    assert_true(o.quiet);
    assert_int_equal(o.policy, DAM_POLICY_BLOCK);
}

static void too_many(void **state)
{
    (void)state;
    char line[CMDLINE_MAX] = "", *at = line;
    for (unsigned i = 0; i < DAM_MAX_CHOICES + 2; i++)
        at += sprintf(at, "cofferdam.policy.%02x:00.0=block ", i);
    struct cmdline_options o = parse(line);
    assert_int_equal(o.choice_count, DAM_MAX_CHOICES);
    assert_choice(&o, DAM_MAX_CHOICES - 1, 0, (DAM_MAX_CHOICES - 1) << 8, DAM_POLICY_BLOCK);
    assert_int_equal(o.bad_words, 2);
    assert_int_equal(o.bad[0].number, DAM_MAX_CHOICES + 1);
    at = line;
    for (unsigned i = 0; i < CMDLINE_MAX_BAD + 5; i++)
        at += sprintf(at, "cofferdam.x%u ", i);
    o = parse(line);
    assert_int_equal(o.bad_words, CMDLINE_MAX_BAD + 5);
    assert_int_equal(o.bad[CMDLINE_MAX_BAD - 1].number, CMDLINE_MAX_BAD);
}

static void quotes_and_spaces(void **state)
{
    (void)state;
    struct cmdline_options o = parse("dyndbg=\"file a.c +p cofferdam.off\" cofferdam.quiet");
    assert_false(o.off);
    assert_true(o.quiet);
    assert_int_equal(o.words, 1);
    o = parse("a=\"never closed cofferdam.off");
    assert_false(o.off);
    o = parse("\tcofferdam.quiet\ncofferdam.verbose\xA0"
              "cofferdam.off");
    assert_true(o.quiet && o.verbose && o.off);
    o = parse("cofferdam.quiet -- cofferdam.off elfcorehdr=0x1000");
    assert_true(o.quiet);
    assert_false(o.off || o.has_elfcorehdr || o.names_elfcorehdr);
    o = parse("--x --=1 -- cofferdam.off");
    assert_false(o.off);
    o = parse("--x --=1 cofferdam.off");
    assert_true(o.off);
}

static void exactmap(void **state)
{
    (void)state;
    assert_true(parse("memmap=exactmap memmap=639K@0K").exactmap);
    assert_true(parse("memmap=639K@0K,exactmap").exactmap);
    assert_true(parse("memmap=exactmapX").exactmap); // Linux compares eight letters
    assert_false(parse("memmap=64M$0x1000 memmap=1M@exactmap mem=exactmap memmap").exactmap);
}

static void elfcorehdr(void **state)
{
    (void)state;
    const struct {
        const char *line;
        bool has;
        uint64_t value;
    } cases[] = {
        {"elfcorehdr=0x7df5d000", true, 0x7DF5D000},
        {"elfcorehdr=2063732K acpi_rsdp=0xf59b0", true, 0x7DF5D000},
        {"elfcorehdr=4096@0x12000", true, 0x12000},
        {"elfcorehdr=1M@5G", true, 0x140000000},
        {"elfcorehdr=0x1000 elfcorehdr=0x2000", true, 0x2000},
        {"elfcorehdr=0x1000 elfcorehdr=", false, 0},
        {"elfcorehdr=010000", true, 4096},
        {"elfcorehdr=4K@", false, 0},
        {"elfcorehdr=0x10000000000000000", false, 0},
        {"elfcorehdr=16E", false, 0},
        {"elfcorehdr=15E", true, 15ull << 60},
        {"elfcorehdr", false, 0},
        {"elfcorehdrx=1", false, 0},
        {"elfcorehdr=zzz", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cmdline_options o = parse(cases[i].line);
        assert_int_equal(o.has_elfcorehdr, cases[i].has);
        assert_int_equal(o.names_elfcorehdr, strstr(cases[i].line, "elfcorehdr=") != NULL);
        assert_int_equal(o.elfcorehdr, cases[i].value);
    }
}

static void acpi_rsdp(void **state)
{
    (void)state;
    assert_int_equal(parse("acpi_rsdp=0xf59b0").acpi_rsdp, 0xF59B0);
    assert_int_equal(parse("acpi_rsdp=7fe3014").acpi_rsdp, 0x7FE3014);
    assert_int_equal(parse("acpi_rsdp=0x").acpi_rsdp, 0);
    assert_int_equal(parse("acpi_rsdp=").acpi_rsdp, 0);
}

static void set_elfcorehdr(void **state)
{
    (void)state;
    const struct {
        const char *line, *want;
    } cases[] = {
        {"elfcorehdr=123K", "elfcorehdr=0x7d600010"},
        {"elfcorehdr=0x17fff0000 ro  quiet ", "elfcorehdr=0x7d600010 ro  quiet "},
        {"a elfcorehdr=4K@0x1000 b elfcorehdr=1K", "a elfcorehdr=0x7d600010 b elfcorehdr=0x7d600010"},
        {"elfcorehdr=\"1K\" x", "elfcorehdr=0x7d600010 x"},
        {"\"elfcorehdr=1K\" x", "elfcorehdr=0x7d600010 x"},
        {"elfcorehdr=\"4K\"M@5G x", "elfcorehdr=0x7d600010 x"},
        {"elfcorehdr=\"4K x", "elfcorehdr=0x7d600010"},
        {"xelfcorehdr=1 elfcorehdrs=1 -- elfcorehdr=1", "xelfcorehdr=1 elfcorehdrs=1 -- elfcorehdr=1"},
        {"elfcorehdr= x", "elfcorehdr=0x7d600010 x"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t want = strlen(cases[i].want), len = 99;
        char *out = malloc(want + 1);
        assert_int_equal(
            cmdline_set_elfcorehdr(cases[i].line, strlen(cases[i].line), 0x7D600010, out, want, &len), 0);
        assert_int_equal(len, want);
        assert_string_equal(out, cases[i].want);
        if (want)
            assert_int_equal(
                cmdline_set_elfcorehdr(cases[i].line, strlen(cases[i].line), 0x7D600010, out, want - 1, &len),
                DAM_E_LENGTH);
        free(out);
    }
    char out[64];
    size_t len;
    // No room for 0x…: in KiB, and one byte less is too little.
    assert_int_equal(cmdline_set_elfcorehdr("a elfcorehdr=2063732K b", 23, 0x7D600000, out, 24, &len),
                     DAM_OK);
    assert_string_equal(out, "a elfcorehdr=2054144K b");
    assert_int_equal(len, 23);
    assert_int_equal(cmdline_set_elfcorehdr("a elfcorehdr=2063732K b", 23, 0x7D600000, out, 23, &len),
                     DAM_OK);
    assert_int_equal(cmdline_set_elfcorehdr("a elfcorehdr=2063732K b", 23, 0x7D600000, out, 22, &len),
                     DAM_E_LENGTH);
    assert_int_equal(cmdline_set_elfcorehdr("elfcorehdr=1", 12, 0, out, 13, &len), DAM_OK);
    assert_string_equal(out, "elfcorehdr=0K");
    assert_int_equal(cmdline_set_elfcorehdr("elfcorehdr=1", 12, 0xFFFFFFFFFFFFFC00, out, 29, &len), DAM_OK);
    assert_string_equal(out, "elfcorehdr=0xfffffffffffffc00");
    assert_int_equal(cmdline_set_elfcorehdr("elfcorehdr=1", 12, 0xFFFFFFFFFFFFFC00, out, 28, &len),
                     DAM_E_LENGTH);
    assert_int_equal(cmdline_set_elfcorehdr("elfcorehdr=1", 12, ~0ull, out, 63, &len), DAM_OK);
    assert_string_equal(out, "elfcorehdr=0xffffffffffffffff");
    assert_int_equal(cmdline_set_elfcorehdr("elfcorehdr=1", 12, 0, out, 63, &len), DAM_OK);
    assert_string_equal(out, "elfcorehdr=0x0");
}

static void set_acpi_rsdp(void **state)
{
    (void)state;
    const struct {
        const char *line, *want;
    } cases[] = {
        {"acpi_rsdp=0xf59b0", "acpi_rsdp=0x27fe00040"},
        {"a acpi_rsdp=\"f5\" b acpi_rsdp= c", "a acpi_rsdp=0x27fe00040 b acpi_rsdp=0x27fe00040 c"},
        {"ro quiet", "acpi_rsdp=0x27fe00040 ro quiet"},
        {"", "acpi_rsdp=0x27fe00040 "},
        {"ro -- acpi_rsdp=1", "acpi_rsdp=0x27fe00040 ro -- acpi_rsdp=1"}, // behind -- it is nothing to Linux
        {"acpi_rsdp", "acpi_rsdp=0x27fe00040 acpi_rsdp"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t want = strlen(cases[i].want), len = 99;
        char *out = malloc(want + 1);
        assert_int_equal(
            cmdline_set_acpi_rsdp(cases[i].line, strlen(cases[i].line), 0x27FE00040, out, want, &len), 0);
        assert_int_equal(len, want);
        assert_string_equal(out, cases[i].want);
        assert_int_equal(parse(out).acpi_rsdp, 0x27FE00040);
        assert_int_equal(
            cmdline_set_acpi_rsdp(cases[i].line, strlen(cases[i].line), 0x27FE00040, out, want - 1, &len),
            DAM_E_LENGTH);
        free(out);
    }
}

static void table_mode(void **state)
{
    (void)state;
    assert_false(parse("intel_iommu=on").legacy_tables);
    assert_false(parse("intel_iommu=on,sm_on").legacy_tables);
    assert_true(parse("intel_iommu=on,sm_off").legacy_tables);
    assert_true(parse("intel_iommu=sm_off intel_iommu=on").legacy_tables);
    assert_false(parse("intel_iommu=sm_off intel_iommu=sm_on").legacy_tables);
    assert_false(parse("iommu=sm_off").legacy_tables);
}

static void rsdt_wanted(void **state)
{
    (void)state;
    assert_true(parse("acpi=rsdt").acpi_rsdt);
    assert_true(parse("acpi=rsdt acpi=force").acpi_rsdt); // nothing takes it back
    assert_false(parse("acpi=rsdtx acpi=off acpi acpi_rsdt=1").acpi_rsdt);
}

static void longest_line(void **state)
{
    (void)state;
    char *line = malloc(2 * CMDLINE_MAX);
    memset(line, 'x', 2 * CMDLINE_MAX);
    memcpy(line, "cofferdam.", 10); // one bad word that fills everything that is looked at
    struct cmdline_options o;
    cmdline_parse(line, 2 * CMDLINE_MAX, &o);
    assert_int_equal(o.bad_words, 1);
    assert_int_equal(o.kept_size, CMDLINE_MAX);
    assert_int_equal(strlen(o.kept), CMDLINE_MAX - 1);
    free(line);
}

static void consoles(void **state)
{
    (void)state;
    const struct {
        const char *line;
        enum console_kind kind;
        uint64_t address;
        uint32_t baud;
        bool vga;
    } cases[] = {
        {"console=ttyS0", CONSOLE_PORT, 0x3F8, 0, false},
        {"console=ttyS1,115200n8", CONSOLE_PORT, 0x2F8, 115200, false},
        {"console=ttyS2,9600", CONSOLE_PORT, 0x3E8, 9600, false},
        {"console=ttyS3 console=tty0", CONSOLE_PORT, 0x2E8, 0, true},
        {"console=ttyS4", CONSOLE_NONE, 0, 0, false},
        {"console=ttyS", CONSOLE_NONE, 0, 0, false},
        {"console=ttyS0x", CONSOLE_NONE, 0, 0, false},
        {"console=tty1 console=ttyAMA0 console=hvc0 console console=", CONSOLE_NONE, 0, 0, false},
        {"console=tty0", CONSOLE_NONE, 0, 0, true},
        {"console=uart8250,io,0x3f8,57600", CONSOLE_PORT, 0x3F8, 57600, false},
        {"console=uart,mmio,0xfe040000", CONSOLE_MMIO8, 0xFE040000, 0, false},
        {"earlycon=uart8250,mmio32,0xfe040000,115200n8", CONSOLE_MMIO32, 0xFE040000, 115200, false},
        {"earlycon=uart8250,io,0x10000", CONSOLE_NONE, 0, 0, false},
        {"earlycon=uart8250,mmio32,0xfe040002", CONSOLE_NONE, 0, 0, false},
        {"earlycon=uart8250,mmio16,0xfe040000", CONSOLE_NONE, 0, 0, false},
        {"earlycon=uart8250,io", CONSOLE_NONE, 0, 0, false},
        {"earlycon", CONSOLE_NONE, 0, 0, false},
        {"earlyprintk=serial", CONSOLE_PORT, 0x3F8, 0, false},
        {"earlyprintk=serial,ttyS1,9600,keep", CONSOLE_PORT, 0x2F8, 9600, false},
        {"earlyprintk=ttyS0,115200", CONSOLE_PORT, 0x3F8, 115200, false},
        {"earlyprintk=serial,0x2f8,115200", CONSOLE_PORT, 0x2F8, 115200, false},
        {"earlyprintk=vga", CONSOLE_NONE, 0, 0, true},
        {"earlyprintk=efi", CONSOLE_NONE, 0, 0, false},
        {"earlyprintk=serial,0xffff", CONSOLE_NONE, 0, 0, false},
        {"console=ttyS0,115201", CONSOLE_PORT, 0x3F8, 0, false},
        {"console=ttyS0,49", CONSOLE_PORT, 0x3F8, 0, false},
        {"earlyprintk=ttyS1 console=ttyS0", CONSOLE_PORT, 0x3F8, 0, false}, // the last one wins
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cmdline_options o = parse(cases[i].line);
        assert_int_equal(o.consoles.serial, cases[i].kind);
        assert_int_equal(o.consoles.address, cases[i].address);
        assert_int_equal(o.consoles.baud, cases[i].baud);
        assert_int_equal(o.consoles.vga, cases[i].vga);
    }
}

static void numbers(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t read;
        uint64_t value;
    } cases[] = {
        {"0", 1, 0},
        {"12k", 3, 12288},
        {"0x10M,", 5, 0x1000000},
        {"0x", 1, 0}, // Linux: octal zero, then an x
        {"0xg", 1, 0},
        {"089", 1, 0},
        {"3Tx", 2, 3ull << 40},
        {"1p", 2, 1ull << 50},
        {"18446744073709551615", 20, ~0ull},
        {"18446744073709551616", 0, 77},
        {"0xffffffffffffffffK", 0, 77},
        {"K", 0, 77},
        {"", 0, 77},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 77;
        const char *end = cases[i].text + strlen(cases[i].text);
        assert_int_equal(number_memparse(cases[i].text, end, &value), cases[i].read);
        assert_int_equal(value, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_line),    cmocka_unit_test(each_policy),
        cmocka_unit_test(one_requester), cmocka_unit_test(switches),
        cmocka_unit_test(one_pasid),     cmocka_unit_test(two_way_words),
        cmocka_unit_test(named_windows), cmocka_unit_test(iommu_driver_off),
        cmocka_unit_test(bad_words),     cmocka_unit_test(bad_word_among_good_ones),
        cmocka_unit_test(too_many),      cmocka_unit_test(quotes_and_spaces),
        cmocka_unit_test(exactmap),      cmocka_unit_test(elfcorehdr),
        cmocka_unit_test(acpi_rsdp),     cmocka_unit_test(set_elfcorehdr),
        cmocka_unit_test(longest_line),  cmocka_unit_test(consoles),
        cmocka_unit_test(numbers),       cmocka_unit_test(set_acpi_rsdp),
        cmocka_unit_test(rsdt_wanted),   cmocka_unit_test(table_mode),
    };
    return cmocka_run_group_tests_name("stage command line", tests, NULL, NULL);
}
