// SPDX-License-Identifier: MIT
// What inspect asks of a kind of IOMMU. A kind is kind_X.c with its words (X_words.c), its reader of the dead
// kernel (kernel_X.c) and its part of the scan (scan_X.c); kinds.c lists them, and nothing else names one.
#ifndef TOOL_INSPECT_KIND_H
#define TOOL_INSPECT_KIND_H

#include "inspect/entry_words.h"
#include "inspect/kernel.h"
#include "inspect/model.h"
#include "inspect/model_own.h"
#include "inspect/scan.h"
#include "iommu/iommu.h"

// What can be done with the tables of a unit that translates.
enum inspect_tables {
    TABLES_READ,    // they can be read
    TABLES_NONE,    // there are none: all DMA is refused
    TABLES_UNKNOWN, // of a form that is not known here
};

// A register, for findings.
struct inspect_register {
    uint16_t offset;
    uint64_t value;
};

struct kernel_array; // kernel_parts.h

struct unit_kind {
    enum dam_iommu_kind id;
    const char *name;              // "VT-d"
    const char *option;            // "--vtd-root": says where a unit's tables are
    const char *option_help;       // lines of the help text
    const char *first_name;        // what goes before the second stage when it is nested
    const char *const *step_names; // IOMMU_STEPS words for the entries on the way to a binding
    bool shares_tables;            // several units of a segment may use one table
    bool has_debugfs;              // ranges --debugfs: Linux shows its tables

    // ---- units
    // Fills in registers from what the option says. TOOL_USAGE.
    enum tool_status (*given)(struct inspection *in, const char *text, struct inspect_unit *unit,
                              struct tool_error *error);
    // The same from a candidate of the scan.
    void (*guessed)(const struct scan_root *root, struct inspect_unit *unit);
    // Whether its registers say that translation is on.
    bool (*translates)(const struct inspect_unit *unit);
    // From its registers: root, table_size, mode; and capabilities that allow everything when !has_registers.
    void (*complete)(struct inspect_unit *unit);
    // Bits of host addresses, as an ACPI table of this kind tells; 0: it is none, or does not tell.
    uint8_t (*width)(const uint8_t *table, size_t length);
    // Registers as members of the unit's object.
    void (*put_registers)(const struct inspect_unit *unit, struct json_object *out);
    struct inspect_register (*table_register)(const struct inspect_unit *unit);
    struct inspect_register (*state_register)(const struct inspect_unit *unit);

    // ---- the dead kernel
    // Adds its units (struct kernel_unit) to the list. *driver: the kernel has a driver for this kind.
    // TOOL_BAD_INPUT: not all could be read; the list has the others.
    enum tool_status (*kernel_units)(const struct kernel *kernel, struct kernel_array *list, bool *driver,
                                     struct tool_error *error);

    // ---- the scan (scan.h)
    void (*scan_page)(struct scan *scan, dam_pa pa, const uint64_t *words);
    void (*scan_end)(struct scan *scan);

    // ---- tables
    // *finding: DAM_F_*, what is odd about it; DAM_F_NONE.
    enum inspect_tables (*tables)(const struct inspect_unit *unit, uint16_t *finding);
    // Reads all above the page tables. As its lookup.h says.
    dam_err (*look_up)(const struct inspect_unit *unit, struct inspect_reading *reading, void *ctx,
                       dam_err (*found)(void *ctx, const struct iommu_hit *hit));
    // How tables of a stage (DAM_STAGE_FIRST, _SECOND) are to be read.
    void (*format)(enum dam_stage stage, struct pt_format *out);
    struct pt_params (*params)(const struct inspect_unit *unit, enum dam_stage stage, uint8_t levels);
    uint32_t (*domain_ids)(const struct inspect_unit *unit);
    unsigned (*entry_words)(const struct iommu_hit *hit); // of the entry that a binding is

    // ---- words (entry_words.h)
    // A step on the way to the entry of `r` (r->steps), and that entry itself.
    void (*step_fields)(const struct inspect_requester *r, const struct inspect_step *step,
                        struct entry_fields *out);
    void (*entry_fields)(const struct inspect_requester *r, struct entry_fields *out);
    const char *(*entry_name)(const struct inspect_requester *r);
};

extern const struct unit_kind inspect_vtd, inspect_amdvi;
// All of them; the first one is meant where nobody tells.
#define INSPECT_KINDS 2u
extern const struct unit_kind *const inspect_kinds[INSPECT_KINDS];
// NULL: not known here.
const struct unit_kind *inspect_kind_of(uint32_t id);

#endif
