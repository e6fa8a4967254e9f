// SPDX-License-Identifier: MIT
// The note's layout, typed again from docs/note-format.md: what is in dumps must stay readable.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cofferdam/abi.h>

#define AT(type, field, offset, size)                                                                        \
    assert_int_equal(offsetof(struct type, field), offset);                                                  \
    assert_int_equal(sizeof(((struct type *)0)->field), size)

static void constants(void **state)
{
    (void)state;
    assert_string_equal(DAM_NOTE_NAME, "COFFERDAM");
    assert_int_equal(DAM_NOTE_TYPE, 0x43464431);
    assert_true(DAM_NOTE_MAGIC == 0x4D41445246464F43ull);
    assert_int_equal(DAM_NOTE_VERSION, 1);
    assert_int_equal(DAM_NOTE_MAX_SIZE, 524288);
    assert_int_equal(DAM_NOTE_MAX_SECTIONS, 16);
    assert_int_equal(DAM_SECTION_SUMMARY, 1);
    assert_int_equal(DAM_SECTION_UNITS, 2);
    assert_int_equal(DAM_SECTION_REQUESTERS, 3);
    assert_int_equal(DAM_SECTION_FINDINGS, 4);
    assert_int_equal(DAM_SECTION_ACPI_TABLE, 5);
    assert_int_equal(DAM_SECTION_CMDLINE, 6);
    assert_int_equal(DAM_SECTION_KEEP_OUT, 7);
}

static void header_and_sections(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct dam_note_header), 24);
    AT(dam_note_header, magic, 0, 8);
    AT(dam_note_header, version, 8, 4);
    AT(dam_note_header, size, 12, 4);
    AT(dam_note_header, crc32, 16, 4);
    AT(dam_note_header, section_count, 20, 2);
    AT(dam_note_header, header_size, 22, 2);
    assert_int_equal(sizeof(struct dam_note_section), 16);
    AT(dam_note_section, type, 0, 2);
    AT(dam_note_section, entry_size, 4, 4);
    AT(dam_note_section, count, 8, 4);
    AT(dam_note_section, offset, 12, 4);
}

static void summary(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct dam_note_summary), 160);
    AT(dam_note_summary, version, 0, 16);
    AT(dam_note_summary, stop, 16, 4);
    AT(dam_note_summary, phase, 20, 4);
    AT(dam_note_summary, flags, 24, 4);
    AT(dam_note_summary, policy, 28, 4);
    AT(dam_note_summary, findings_total, 32, 4);
    AT(dam_note_summary, bad_words, 36, 4);
    AT(dam_note_summary, pool_start, 40, 8);
    AT(dam_note_summary, pool_size, 48, 8);
    AT(dam_note_summary, pool_used, 56, 8);
    AT(dam_note_summary, scratch_page, 64, 8);
    AT(dam_note_summary, image_start, 72, 8);
    AT(dam_note_summary, unit_total, 80, 4);
    AT(dam_note_summary, requester_total, 84, 4);
    AT(dam_note_summary, us_discover, 88, 4);
    AT(dam_note_summary, us_report, 108, 4);
    AT(dam_note_summary, tables_read, 112, 8);
    AT(dam_note_summary, exception_vector, 120, 4);
    AT(dam_note_summary, nmi_count, 124, 4);
    AT(dam_note_summary, exception_error, 128, 8);
    AT(dam_note_summary, exception_rip, 136, 8);
    AT(dam_note_summary, exception_cr2, 144, 8);
    AT(dam_note_summary, tsc_khz, 152, 4);
    assert_int_equal(DAM_SUMMARY_COMMITTED, 1);
    assert_int_equal(DAM_SUMMARY_EXCEPTION, 2);
    assert_int_equal(DAM_SUMMARY_TRUNCATED, 4);
    assert_int_equal(DAM_SUMMARY_FINDINGS_LOST, 8);
    assert_int_equal(DAM_SUMMARY_NMI, 16);
    assert_int_equal(DAM_SUMMARY_LA57, 32);
}

static void units(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct dam_note_unit), 168);
    AT(dam_note_unit, register_base, 0, 8);
    AT(dam_note_unit, cap, 8, 8);
    AT(dam_note_unit, ecap, 16, 8);
    AT(dam_note_unit, ver, 24, 4);
    AT(dam_note_unit, segment, 28, 2);
    AT(dam_note_unit, status, 30, 1);
    AT(dam_note_unit, drhd_flags, 31, 1);
    AT(dam_note_unit, requesters, 32, 4);
    AT(dam_note_unit, error, 36, 4);
    AT(dam_note_unit, before, 40, 56);
    AT(dam_note_unit, after, 96, 56);
    AT(dam_note_unit, us_translation_switch, 152, 4);
    AT(dam_note_unit, kind, 156, 4);
    AT(dam_note_unit, irq_entries, 160, 4);
    AT(dam_note_unit, irq_silenced, 164, 4);
    assert_int_equal(DAM_NOTE_UNIT_LEAST, 160);
    AT(dam_vtd_registers, rtaddr, 0, 8);
    AT(dam_vtd_registers, iqa, 8, 8);
    AT(dam_vtd_registers, irta, 16, 8);
    AT(dam_vtd_registers, iqh, 24, 8);
    AT(dam_vtd_registers, iqt, 32, 8);
    AT(dam_vtd_registers, gsts, 40, 4);
    AT(dam_vtd_registers, fsts, 44, 4);
    AT(dam_vtd_registers, fectl, 48, 4);
    AT(dam_vtd_registers, pmen, 52, 4);
    AT(dam_amdvi_registers, device_table, 0, 8);
    AT(dam_amdvi_registers, command_base, 8, 8);
    AT(dam_amdvi_registers, event_base, 16, 8);
    AT(dam_amdvi_registers, control, 24, 8);
    AT(dam_amdvi_registers, command_head, 32, 4);
    AT(dam_amdvi_registers, command_tail, 36, 4);
    AT(dam_amdvi_registers, event_head, 40, 4);
    AT(dam_amdvi_registers, event_tail, 44, 4);
    AT(dam_amdvi_registers, status, 48, 4);
    assert_int_equal(DAM_IOMMU_VTD, 0);
    assert_int_equal(DAM_IOMMU_AMDVI, 1);
    assert_int_equal(DAM_UNIT_TAKEN, 0);
    assert_int_equal(DAM_UNIT_PLANNED, 7);
    assert_int_equal(DAM_UNIT_RAISED, 8);
}

static void requesters(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct dam_note_requester), 88);
    AT(dam_note_requester, pasid, 80, 4);
    AT(dam_note_requester, old_stage, 84, 1);
    AT(dam_note_requester, new_stage, 85, 1);
    AT(dam_note_requester, unit, 0, 2);
    AT(dam_note_requester, segment, 2, 2);
    AT(dam_note_requester, rid, 4, 2);
    AT(dam_note_requester, policy, 6, 1);
    AT(dam_note_requester, old_kind, 7, 1);
    AT(dam_note_requester, old_did, 8, 2);
    AT(dam_note_requester, new_did, 10, 2);
    AT(dam_note_requester, levels, 12, 1);
    AT(dam_note_requester, flags, 14, 2);
    AT(dam_note_requester, old_root, 16, 8);
    AT(dam_note_requester, new_root, 24, 8);
    AT(dam_note_requester, old_readable, 32, 8);
    AT(dam_note_requester, old_writable, 40, 8);
    AT(dam_note_requester, new_readable, 48, 8);
    AT(dam_note_requester, new_writable, 56, 8);
    AT(dam_note_requester, cut, 64, 8);
    AT(dam_note_requester, old_tables, 72, 4);
    AT(dam_note_requester, new_tables, 76, 4);
    assert_int_equal(DAM_REQ_QUARANTINED, 1);
    assert_int_equal(DAM_REQ_ATS, 32);
}

static void findings_and_ranges(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct dam_finding), 40);
    AT(dam_finding, code, 0, 2);
    AT(dam_finding, severity, 2, 1);
    AT(dam_finding, level, 3, 1);
    AT(dam_finding, unit, 4, 2);
    AT(dam_finding, segment, 6, 2);
    AT(dam_finding, rid, 8, 2);
    AT(dam_finding, index, 10, 2);
    AT(dam_finding, repeats, 12, 4);
    AT(dam_finding, address, 16, 8);
    AT(dam_finding, raw, 24, 8);
    AT(dam_finding, iova, 32, 8);
    assert_int_equal(sizeof(struct dam_note_range), 16);
    AT(dam_note_range, start, 0, 8);
    AT(dam_note_range, end, 8, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants),  cmocka_unit_test(header_and_sections),
        cmocka_unit_test(summary),    cmocka_unit_test(units),
        cmocka_unit_test(requesters), cmocka_unit_test(findings_and_ranges),
    };
    return cmocka_run_group_tests_name("tool: the note's layout", tests, NULL, NULL);
}
