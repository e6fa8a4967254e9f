// SPDX-License-Identifier: MIT
// What the files of AMD-Vi share: kind_amdvi.c, amdvi_words.c, kernel_amdvi.c, scan_amdvi.c.
#ifndef TOOL_INSPECT_AMDVI_H
#define TOOL_INSPECT_AMDVI_H

#include "inspect/kind.h"
#include "iommu/amdvi/tables.h"

// A unit of which nothing is known can do everything: all widths, all kinds of tables.
struct amdvi_features amdvi_any_features(uint64_t encrypt);

// Device table entries and entries of GCR3 tables, field by field (48882, 2.2.2 and 2.2.6).
void amdvi_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                       struct entry_fields *out);
void amdvi_entry_fields(const struct inspect_requester *r, struct entry_fields *out);
const char *amdvi_entry_name(const struct inspect_requester *r);

// kernel_amdvi.c: struct unit_kind.kernel_units.
enum tool_status kernel_amdvi_units(const struct kernel *kernel, struct kernel_array *list, bool *driver,
                                    struct tool_error *error);

// scan_amdvi.c: struct unit_kind.scan_page, .scan_end.
void scan_amdvi_page(struct scan *scan, dam_pa pa, const uint64_t *words);
void scan_amdvi_end(struct scan *scan);
// How many pages from base on look like those of a device table: 1 to 512.
unsigned scan_amdvi_pages(struct memory *memory, dam_pa base);

#endif
