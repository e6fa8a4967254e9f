// SPDX-License-Identifier: MIT
// What the stage takes from the capture kernel's command line. The line is hostile: any bytes, any length.
#ifndef STAGE_CMDLINE_H
#define STAGE_CMDLINE_H

#include <cofferdam/takeover.h>

#include "console_arg.h"

// Longest line that is looked at, in bytes. Linux on x86 uses 2048.
#define CMDLINE_MAX 4096u
// Bad words that are remembered one by one; more are only counted.
#define CMDLINE_MAX_BAD 16u

// A word that was not understood: its number among the cofferdam.* words, from 1, and where its text is kept.
struct cmdline_bad {
    uint16_t number;
    uint16_t offset; // in cmdline_options.kept, NUL-terminated
};

struct cmdline_options {
    bool policy_given;
    enum dam_policy policy; // valid when policy_given
    struct dam_choice choices[DAM_MAX_CHOICES];
    size_t choice_count;
    bool verbose, quiet, off;
    bool raise, broken_scratch, mask_irqs;  // .raise=always, .broken=scratch, .irq=mask
    enum dam_view view;                     // .iommu=
    bool legacy_tables;                     // intel_iommu=sm_off: it does not use scalable mode
    dam_requester windows[DAM_MAX_CHOICES]; // .window=
    size_t window_count;
    bool exactmap;         // memmap=exactmap: e820 is not believed by the capture kernel
    bool names_elfcorehdr; // there is an elfcorehdr= word: a crash, however wrong the word is
    bool has_elfcorehdr;   // elfcorehdr below is valid
    uint64_t elfcorehdr;   // physical address of the ELF core headers
    uint64_t acpi_rsdp;    // physical address, 0 when not given
    bool acpi_rsdt;        // acpi=rsdt: the capture kernel does not look at an XSDT
    struct console_args consoles;
    uint32_t words; // cofferdam.* words seen
    uint32_t bad_words;
    struct cmdline_bad bad[CMDLINE_MAX_BAD];
    char kept[CMDLINE_MAX]; // the cofferdam.* words as given, each NUL-terminated
    uint32_t kept_size;
};

// Reads a line of len bytes (no terminator needed; at most CMDLINE_MAX are looked at) into *out. Never fails:
// a cofferdam.* word that is not understood is listed in bad[] and otherwise ignored.
void cmdline_parse(const char *line, size_t len, struct cmdline_options *out);

// Whether the line turns a driver of Linux' off: iommu=off, which nothing takes back, or DRIVER=off, which a
// later DRIVER=on does.
bool cmdline_turns_off(const char *line, size_t len, const char *driver);

// Copies a line of len bytes to out with every elfcorehdr= word replaced by one that names address, and
// terminates it. The address is written as 0x…, or, when that does not fit and it is a multiple of 1 KiB, in
// KiB. *out_len is the new length without the terminator. DAM_E_LENGTH when more than max_len bytes would be
// needed (without the terminator; out holds max_len + 1); out is then not a command line.
DAM_MUST_CHECK dam_err cmdline_set_elfcorehdr(const char *line, size_t len, uint64_t address, char *out,
                                              size_t max_len, size_t *out_len);

// The same for acpi_rsdp=; when the line has no such word, one is put in front.
DAM_MUST_CHECK dam_err cmdline_set_acpi_rsdp(const char *line, size_t len, uint64_t address, char *out,
                                             size_t max_len, size_t *out_len);

#endif
