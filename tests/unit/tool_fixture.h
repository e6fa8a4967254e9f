// SPDX-License-Identifier: MIT
// Small kernel images, stages and notes for the tests of the tool, made by hand.
#ifndef TESTS_UNIT_TOOL_FIXTURE_H
#define TESTS_UNIT_TOOL_FIXTURE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cofferdam/abi.h>

#include "bytes.h"
#include "wrap.h"

#define FX_SETUP     2560u // 4 setup sectors and the boot sector
#define FX_CODE      8192u // protected-mode bytes
#define FX_TRAILER   40u   // like a signature: behind what syssize tells
#define FX_KERNEL    (FX_SETUP + FX_CODE + FX_TRAILER)
#define FX_INIT_SIZE 0x345678u
#define FX_PE        0x40u // offset of "PE\0\0"
#define FX_VERSION   "6.1.0-test (me@here) #1"

// A kernel image that both loaders take. Every byte that has no meaning is a pattern.
static inline void fx_kernel(uint8_t image[FX_KERNEL])
{
    for (uint32_t i = 0; i < FX_KERNEL; i++)
        image[i] = (uint8_t)(i * 7 + (i >> 8));
    memset(image, 0, 0x270);
    memcpy(image, "MZ", 2);
    put_le32(image + 0x3C, FX_PE);
    memcpy(image + FX_PE, "PE\0\0", 4);
    put_le16(image + FX_PE + 24, 0x20B);
    put_le32(image + FX_PE + 24 + 64, 0x11223344); // checksum
    put_le16(image + FX_PE + 24 + 68, 10);         // subsystem: EFI application
    put_le32(image + FX_PE + 24 + 108, 6);         // data directories
    put_le64(image + FX_PE + 24 + 144, 0x2800007D00ull);
    image[0x1F1] = 4;
    put_le32(image + 0x1F4, FX_CODE / 16);
    put_le16(image + 0x1FE, 0xAA55);
    image[0x200] = 0xEB;
    image[0x201] = 0x6A;
    memcpy(image + 0x202, "HdrS", 4);
    put_le16(image + 0x206, 0x20F);
    put_le16(image + 0x20E, 0x600); // version string at 800h
    image[0x211] = 1;
    put_le32(image + 0x214, 0x100000);
    put_le32(image + 0x230, 0x200000);
    image[0x234] = 1;
    put_le16(image + 0x236, 0x7F);
    put_le32(image + 0x238, 2047);
    put_le32(image + 0x248, 0x300);
    put_le32(image + 0x24C, 0x1000);
    put_le64(image + 0x258, 0x1000000);
    put_le32(image + 0x260, FX_INIT_SIZE);
    put_le32(image + 0x264, 0x190);
    put_le32(image + 0x268, 0x1F00);
    memcpy(image + 0x800, FX_VERSION, sizeof FX_VERSION);
    memcpy(image + FX_SETUP + 0x300,
           "\xFD"
           "7zXZ\0",
           6);
}

#define FX_STAGE      4096u
#define FX_STAGE_SIZE 0x9000u // .bss included

// A stage that could never run, but looks like one.
static inline struct stage_blob fx_stage(uint8_t bytes[FX_STAGE])
{
    for (uint32_t i = 0; i < FX_STAGE; i++)
        bytes[i] = (uint8_t)(0x90 + i % 5);
    struct dam_image_header header = {.magic = DAM_IMAGE_MAGIC,
                                      .version = DAM_IMAGE_VERSION,
                                      .size = sizeof header,
                                      .stage_size = FX_STAGE_SIZE};
    memcpy(bytes + DAM_IMAGE_HEADER_OFFSET, &header, sizeof header);
    return (struct stage_blob){bytes, FX_STAGE};
}

// Builds the descriptor of a note, section by section.
struct fx_note {
    uint8_t bytes[16384];
    uint32_t used;
    uint16_t sections;
};

static inline void fx_note_begin(struct fx_note *n)
{
    memset(n, 0, sizeof *n);
    n->used = sizeof(struct dam_note_header) + DAM_NOTE_MAX_SECTIONS * sizeof(struct dam_note_section);
}

static inline void fx_note_section(struct fx_note *n, uint16_t type, const void *entries, uint32_t entry_size,
                                   uint32_t count)
{
    struct dam_note_section section = {type, 0, entry_size, count, n->used};
    memcpy(n->bytes + sizeof(struct dam_note_header) + n->sections * sizeof section, &section,
           sizeof section);
    n->sections++;
    memcpy(n->bytes + n->used, entries, (size_t)entry_size * count);
    n->used += (entry_size * count + 7) & ~7u;
}

// Writes the header, checksum included. Can be called again after changes.
static inline void fx_note_end(struct fx_note *n)
{
    struct dam_note_header header = {.magic = DAM_NOTE_MAGIC,
                                     .version = DAM_NOTE_VERSION,
                                     .size = n->used,
                                     .section_count = n->sections,
                                     .header_size = sizeof header};
    memcpy(n->bytes, &header, sizeof header);
    put_le32(n->bytes + 16, (uint32_t)crc32(0, n->bytes, n->used));
}

static inline struct dam_note_summary fx_summary(void)
{
    return (struct dam_note_summary){
        .version = "0.1.0",
        .stop = DAM_STOP_UNITS,
        .phase = DAM_PHASE_VERIFY,
        .flags = DAM_SUMMARY_COMMITTED | DAM_SUMMARY_EXCEPTION | DAM_SUMMARY_NMI,
        .policy = DAM_POLICY_SCRATCH,
        .findings_total = 9,
        .bad_words = 1,
        .pool_start = 0x73600000,
        .pool_size = 0x800000,
        .pool_used = 0x68000,
        .scratch_page = 0x73601000,
        .image_start = 0x6F400000,
        .unit_total = 1,
        .requester_total = 2,
        .us_discover = 16947,
        .us_audit = 20092,
        .us_plan = 21437,
        .us_commit = 24871,
        .tables_read = 34,
        .exception_vector = 14,
        .nmi_count = 3,
        .exception_error = 2,
        .exception_rip = 0x6F401234,
        .exception_cr2 = 0xDEAD000,
        .tsc_khz = 2100000,
    };
}

// A whole note: one of everything.
static inline void fx_note_full(struct fx_note *n)
{
    struct dam_note_summary summary = fx_summary();
    struct dam_note_unit unit = {
        .register_base = 0xFED90000,
        .cap = 0xD2008C222F0606,
        .ecap = 0xF00F4A,
        .ver = 0x10,
        .segment = 0,
        .status = DAM_UNIT_FAILED_AFTER,
        .drhd_flags = 1,
        .requesters = 2,
        .error = 9, // DAM_E_TIMEOUT
        .before = {.vtd = {.rtaddr = 0x1B20000, .gsts = 0xC7000000}},
        .after = {.vtd = {.rtaddr = 0x7362E000, .gsts = 0xC7000000, .fectl = 0x80000000}},
        .us_translation_switch = 248,
        .irq_entries = 42,
        .irq_silenced = 3};
    struct dam_note_requester requesters[2] = {
        {.rid = 0x10,
         .policy = DAM_POLICY_FREEZE,
         .old_kind = DAM_OLD_TRANSLATED,
         .old_did = 4,
         .new_did = 5,
         .levels = 3,
         .flags = DAM_REQ_NEW_DID | DAM_REQ_CUT,
         .old_root = 0x1000,
         .new_root = 0x2000,
         .old_readable = 2058,
         .old_writable = 2057,
         .new_readable = 2000,
         .cut = 58,
         .old_tables = 4,
         .new_tables = 1},
        {.segment = 1,
         .rid = 0x1FFB,
         .policy = DAM_POLICY_BLOCK,
         .old_kind = DAM_OLD_BROKEN,
         .flags = DAM_REQ_QUARANTINED},
    };
    struct dam_finding findings[2] = {
        {.code = 32,
         .severity = 2,
         .level = 0,
         .rid = 0x10,
         .index = 7,
         .repeats = 5,
         .address = 0x27A7008,
         .raw = 0x1003,
         .iova = 0x1000},
        {.code = 60, .severity = 1, .level = 255, .unit = 0xFFFF, .index = 2},
    };
    struct dam_note_range ranges[1] = {{0x64000000, 0x74000000}};
    static const char words[] = "cofferdam.policy=scratch\0cofferdam.nonsense";
    uint8_t table[56] = "MCFG";
    fx_note_begin(n);
    fx_note_section(n, DAM_SECTION_SUMMARY, &summary, sizeof summary, 1);
    fx_note_section(n, DAM_SECTION_UNITS, &unit, sizeof unit, 1);
    fx_note_section(n, DAM_SECTION_REQUESTERS, requesters, sizeof requesters[0], 2);
    fx_note_section(n, DAM_SECTION_FINDINGS, findings, sizeof findings[0], 2);
    fx_note_section(n, DAM_SECTION_KEEP_OUT, ranges, sizeof ranges[0], 1);
    fx_note_section(n, DAM_SECTION_CMDLINE, words, 1, sizeof words);
    fx_note_section(n, DAM_SECTION_ACPI_TABLE, table, 1, sizeof table);
    fx_note_section(n, 99, ranges, sizeof ranges[0], 1);
    fx_note_end(n);
}

#endif
