// SPDX-License-Identifier: MIT
// What the files of VT-d share: kind_vtd.c, vtd_words.c, kernel_dmar.c, scan_vtd.c.
#ifndef TOOL_INSPECT_VTD_H
#define TOOL_INSPECT_VTD_H

#include "inspect/kind.h"

// A step on the way to the entry of `r` (r->steps). VT-d architecture specification r4.1, 9.1, 9.2, 9.4, 9.5.
void vtd_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                     struct entry_fields *out);
// The entry of `r` itself: 9.3 in legacy mode, 9.6 in scalable mode. What its kind does not use is left out.
void vtd_entry_fields(const struct inspect_requester *r, struct entry_fields *out);
// What that entry is called.
const char *vtd_entry_name(const struct inspect_requester *r);

// kernel_dmar.c: struct unit_kind.kernel_units.
enum tool_status kernel_vtd_units(const struct kernel *kernel, struct kernel_array *list, bool *driver,
                                  struct tool_error *error);
// scan_vtd.c: struct unit_kind.scan_page.
void scan_vtd_page(struct scan *scan, dam_pa pa, const uint64_t *words);

#endif
