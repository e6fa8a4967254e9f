// SPDX-License-Identifier: MIT
// The IOMMU units of all drivers that the dead kernel had: mostly it has those of all makers, and one of them
// has units.
#include "inspect/kernel_parts.h"
#include "inspect/kind.h"

enum tool_status kernel_units(const struct kernel *k, struct kernel_unit **out, size_t *count,
                              struct tool_error *error)
{
    struct kernel_array units = {0};
    enum tool_status status = TOOL_OK;
    bool any = false;
    for (size_t i = 0; i < INSPECT_KINDS; i++) {
        struct tool_error one;
        bool driver;
        status = first_error(status, inspect_kinds[i]->kernel_units(k, &units, &driver, &one), &one, error);
        any |= driver;
    }
    *out = units.at;
    *count = units.count;
    return status == TOOL_OK && !any ? tool_fail(error, TOOL_BAD_INPUT, "the kernel has no IOMMU driver")
                                     : status;
}
