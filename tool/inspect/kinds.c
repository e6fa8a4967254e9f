// SPDX-License-Identifier: MIT
#include "inspect/kind.h"

const struct unit_kind *const inspect_kinds[INSPECT_KINDS] = {&inspect_vtd, &inspect_amdvi};

const struct unit_kind *inspect_kind_of(uint32_t id)
{
    for (size_t i = 0; i < INSPECT_KINDS; i++)
        if (inspect_kinds[i]->id == id)
            return inspect_kinds[i];
    return NULL;
}
