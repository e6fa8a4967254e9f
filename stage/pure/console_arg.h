// SPDX-License-Identifier: MIT
// console=, earlycon= and earlyprintk= words: where the stage may print.
#ifndef STAGE_CONSOLE_ARG_H
#define STAGE_CONSOLE_ARG_H

#include <stdint.h>

#include "word.h"

enum console_kind {
    CONSOLE_NONE = 0,
    CONSOLE_PORT,   // 8250 behind I/O ports
    CONSOLE_MMIO8,  // 8250 in memory, registers one byte apart
    CONSOLE_MMIO32, // 8250 in memory, registers four bytes apart and wide
};

struct console_args {
    enum console_kind serial;
    uint64_t address; // port or physical address of the serial console
    uint32_t baud;    // 0: leave the line as the old kernel set it
    bool vga;         // a VGA text console was asked for
};

// Takes what a word says about consoles, if anything; the last serial console named wins. word->value is set.
// Forms: console=ttySN[,BAUD…], console=tty0, {console,earlycon}=uart[8250],{io,mmio,mmio32},ADDR[,BAUD…],
// earlyprintk={vga | [serial,]{ttySN | 0xPORT}[,BAUD]}. Anything else is left alone.
void console_arg_take(const struct word *word, struct console_args *out);

#endif
