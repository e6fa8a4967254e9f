// SPDX-License-Identifier: MIT
// Where the stage speaks: a serial line and a VGA text screen, as the capture kernel's command line names
// them.
#ifndef STAGE_CONSOLE_H
#define STAGE_CONSOLE_H

#include "pure/bootparams.h"
#include "pure/console_arg.h"
#include "pure/paging.h"

#define CONSOLE_LINE_MAX  200u
#define CONSOLE_EARLY_MAX 2048u

enum console_level {
    CONSOLE_ALWAYS, // also with cofferdam.quiet: how it went
    CONSOLE_NORMAL, // the ten lines or so of an ordinary run
    CONSOLE_DETAIL, // with cofferdam.verbose
};

struct console {
    struct console_args args;
    enum console_level level; // lines above it are not printed
    bool serial_open, vga_open;
    uint32_t timeouts; // of the serial line, in a row
    uint16_t *screen;
    unsigned columns, lines;
    // What was said before the device could be reached.
    char early[CONSOLE_EARLY_MAX];
    size_t early_len;
};

// Says where to print. A port is opened at once; the rest needs console_open_mapped().
void console_open(struct console *console, const struct console_args *args, enum console_level level);

// Opens what needs our own page tables: a serial line in memory, and the screen if boot_params (bp) says that
// it is in VGA text mode. Lines said before are printed now.
void console_open_mapped(struct console *console, struct paging *paging, const uint8_t *bp);

// Prints one line, "cofferdam: " before it. Formats as text_format(). Bounded even when the device is dead.
void console_line(struct console *console, enum console_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
