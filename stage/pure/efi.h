// SPDX-License-Identifier: MIT
// The ACPI root pointer from EFI's configuration table (UEFI specification, 4.3 and 4.6).
#ifndef STAGE_EFI_H
#define STAGE_EFI_H

#include <cofferdam/ops.h>

#include "setup.h"

// More entries than any firmware has.
#define EFI_TABLES_MAX 256u

// Looks for the ACPI 2.0 table, or else the ACPI 1.0 one, in the configuration table of the firmware that bp
// describes. Under kexec the address of that table comes with the SETUP_EFI node (nodes, count), because the
// one in the system table has become virtual. *rsdp is 0 when there is none; errors are those of ops,
// DAM_E_ABSENT when bp tells of no 64-bit EFI, DAM_E_SIGNATURE when the system table is not one.
DAM_MUST_CHECK dam_err efi_find_rsdp(const struct dam_ops *ops, const uint8_t *bp,
                                     const struct setup_node *nodes, size_t count, dam_pa *rsdp);

#endif
