// SPDX-License-Identifier: MIT
// A requester's mappings in the layout of Linux' domain_translation_struct, so that a dump and a running
// kernel can be compared line by line. Facts from drivers/iommu/intel/debugfs.c of 6.1 and of 6.12.
#ifndef TOOL_INSPECT_DEBUGFS_H
#define TOOL_INSPECT_DEBUGFS_H

#include "inspect/model.h"
#include "inspect/verbs.h"

enum debugfs_layout {
    DEBUGFS_NONE,
    DEBUGFS_6_1,  // up to 6.6: five columns always, an empty line at the end
    DEBUGFS_6_12, // from 6.7 on: no column behind the leaf but for two of the upper levels
};
// word: NULL (as Linux 6.1), "6.1" or "6.12"; DEBUGFS_NONE for others.
enum debugfs_layout debugfs_layout_of(const char *word);
// Prints it. What the dump does not hold is left out, and told on standard error. The exit status.
int debugfs_print(const struct verb_call *call, struct inspection *inspection,
                  const struct inspect_requester *r, enum debugfs_layout layout);

#endif
