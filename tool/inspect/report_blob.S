// SPDX-License-Identifier: MIT
// The report's page, inside the tool. REPORT_PAGE is its path, given by the Makefile.
    .section .rodata.report_blob, "a", @progbits
    .globl report_blob_start
    .globl report_blob_end
report_blob_start:
    .incbin REPORT_PAGE
report_blob_end:
    .section .note.GNU-stack, "", @progbits
