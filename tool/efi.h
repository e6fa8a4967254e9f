// SPDX-License-Identifier: MIT
// The EFI face of a kernel image: its PE header.
#ifndef TOOL_EFI_H
#define TOOL_EFI_H

#include <stddef.h>
#include <stdint.h>

// Makes the PE header in the size bytes of setup sectors (at least 512) name no EFI program, so that firmware
// and boot loaders refuse a wrapped image instead of starting it at a stale entry: subsystem "unknown", no
// checksum, no certificate table. The header stays a well-formed one, because kernels 5.4 to 5.18 with
// CONFIG_KEXEC_SIG let an unsigned PE file pass but not a file that is no PE file. A malformed one loses its
// "MZ". Without PE header nothing changes.
void efi_neutralise(uint8_t *setup, size_t size);

#endif
