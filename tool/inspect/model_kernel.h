// SPDX-License-Identifier: MIT
// What the model asks the dead kernel for.
#ifndef TOOL_INSPECT_MODEL_KERNEL_H
#define TOOL_INSPECT_MODEL_KERNEL_H

#include "inspect/model.h"

// Opens the kernel and fills in the devices. false: kernel_problem says why not.
bool inspect_kernel_open(struct inspection *in);
// Adds the memory reserved for the capture kernel to what nobody should have reached.
void inspect_kernel_memory(struct inspection *in);

// Marks requesters that stand for functions without a valid entry of which the dead kernel knew none.
void inspect_mark_vacant(struct inspection *inspection);

#endif
