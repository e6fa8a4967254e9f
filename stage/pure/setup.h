// SPDX-License-Identifier: MIT
// The rest of boot_params: the setup header and the setup_data list.
#ifndef STAGE_SETUP_H
#define STAGE_SETUP_H

#include <cofferdam/abi.h>
#include <cofferdam/ops.h>

#include "bootparams.h"

// Puts the wrapped kernel's own setup header back into bp (BP_SIZE bytes): every field that describes the
// image. Fields that the loader fills in (ramdisk, command line, loader type, setup_data, …) stay. original
// holds the bytes from offset 1F1h of the kernel's file.
void setup_restore_header(uint8_t *bp, const uint8_t original[DAM_SETUP_HEADER_SIZE]);

// One node of the setup_data list.
struct setup_node {
    uint32_t type;
    uint32_t len; // of the data
    dam_pa data;
};

// Walks the list from bp's setup_data and copies at most max nodes; *count is how many there are. Nodes
// beyond max or beyond SETUP_DATA_MAX are left out: a longer list is a loop. An error of ops ends the walk;
// the nodes before it are valid.
DAM_MUST_CHECK dam_err setup_data_walk(const struct dam_ops *ops, const uint8_t *bp, struct setup_node *nodes,
                                       size_t max, size_t *count);

// Addresses in boot_params that are kept in two halves.
uint64_t setup_cmdline(const uint8_t *bp);
void setup_set_cmdline(uint8_t *bp, uint64_t pa);
// The ramdisk: *size is 0 when there is none.
uint64_t setup_ramdisk(const uint8_t *bp, uint64_t *size);

#endif
