// SPDX-License-Identifier: MIT
// What two sets of page tables translate differently.
#ifndef TOOL_INSPECT_DIFF_TREES_H
#define TOOL_INSPECT_DIFF_TREES_H

#include "inspect/model.h"

enum diff_kind {
    DIFF_APPEARS,    // mapped in the second alone
    DIFF_DISAPPEARS, // mapped in the first alone
    DIFF_MOVES,      // to other memory; the rights may differ as well
    DIFF_RIGHTS,     // other rights to the same memory
    DIFF_BREAKS,     // an entry of the second is broken that was not
    DIFF_MENDED,     // the other way round
};
struct diff_range {
    enum diff_kind kind;
    uint64_t iova, size;
    struct inspect_range a, b; // what it was, what it is: addr, r, w of the first byte, where it is mapped
};

// Calls back for each range of IOVAs that differs, in order. *unknown: bytes of IOVAs that cannot be compared
// because one of the dumps does not hold a table. DAM_E_NOMEM, DAM_E_STATE (interrupted), or what the
// callback gave. Either tree may be NULL: it maps nothing.
DAM_MUST_CHECK dam_err diff_trees(struct inspection *a, const struct inspect_tree *tree_a,
                                  struct inspection *b, const struct inspect_tree *tree_b, uint64_t *unknown,
                                  dam_err (*each)(void *ctx, const struct diff_range *range), void *ctx);

#endif
