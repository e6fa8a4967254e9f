// SPDX-License-Identifier: MIT
// The stage program, inside the tool. STAGE_BIN is its path, given by the Makefile.
    .section .rodata.stage_blob, "a", @progbits
    .balign 16
    .globl stage_blob_start
    .globl stage_blob_end
stage_blob_start:
    .incbin STAGE_BIN
stage_blob_end:
    .section .note.GNU-stack, "", @progbits
