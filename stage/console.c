// SPDX-License-Identifier: MIT
#include "console.h"

#include <string.h>

#include "cpu.h"
#include "pure/text.h"

// 8250 registers and bits.
#define UART_THR      0
#define UART_DLL      0
#define UART_DLM      1
#define UART_FCR      2
#define UART_LCR      3
#define UART_MCR      4
#define UART_LSR      5
#define LCR_8N1       0x03
#define LCR_DLAB      0x80
#define MCR_DTR_RTS   0x03
#define LSR_THRE      0x20
#define UART_BASE     115200u
#define VGA_TEXT      0xB8000u
#define VGA_TEXT_SIZE 0x8000u
#define VGA_ATTRIBUTE 0x0700u

// One character at 9600 baud takes a millisecond, a read of a port about a microsecond. A line that has not
// taken three characters in a fifth of a second each is dead: from then on nothing is printed there. (A
// management controller or an emulator behind the line may well pause for some tens of milliseconds.)
#define MAX_READS    200000u
#define MAX_TIMEOUTS 3u

static uint8_t uart_read(const struct console *c, unsigned reg)
{
    switch (c->args.serial) {
    case CONSOLE_PORT:
        return cpu_in8((uint16_t)(c->args.address + reg));
    case CONSOLE_MMIO8:
        return *(volatile uint8_t *)(c->args.address + reg);
    case CONSOLE_MMIO32:
        return (uint8_t) * (volatile uint32_t *)(c->args.address + 4ull * reg);
    case CONSOLE_NONE:
    default:
        return 0xFF;
    }
}

static void uart_write(const struct console *c, unsigned reg, uint8_t v)
{
    if (c->args.serial == CONSOLE_PORT)
        cpu_out8((uint16_t)(c->args.address + reg), v);
    else if (c->args.serial == CONSOLE_MMIO8)
        *(volatile uint8_t *)(c->args.address + reg) = v;
    else if (c->args.serial == CONSOLE_MMIO32)
        *(volatile uint32_t *)(c->args.address + 4ull * reg) = v;
}

static void uart_open(struct console *c)
{
    // Nothing there reads as all ones, and so would look ready for ever.
    if (uart_read(c, UART_LSR) == 0xFF)
        return;
    if (c->args.baud) {
        uint32_t divisor = UART_BASE / c->args.baud;
        uart_write(c, UART_LCR, LCR_8N1 | LCR_DLAB);
        uart_write(c, UART_DLL, (uint8_t)divisor);
        uart_write(c, UART_DLM, (uint8_t)(divisor >> 8));
        uart_write(c, UART_LCR, LCR_8N1);
        uart_write(c, UART_FCR, 0);
        uart_write(c, UART_MCR, MCR_DTR_RTS);
    }
    c->serial_open = true;
}

static void uart_put(struct console *c, char ch)
{
    if (!c->serial_open || c->timeouts >= MAX_TIMEOUTS)
        return;
    uint32_t reads = 0;
    while (reads < MAX_READS && !(uart_read(c, UART_LSR) & LSR_THRE))
        reads++;
    c->timeouts = reads == MAX_READS ? c->timeouts + 1 : 0;
    if (reads < MAX_READS)
        uart_write(c, UART_THR, (uint8_t)ch);
}

// Scrolls by one line and writes to the last one: no cursor to keep.
static void screen_line(struct console *c, const char *text, size_t len)
{
    if (!c->vga_open)
        return;
    size_t columns = c->columns, last = (size_t)(c->lines - 1) * columns;
    for (size_t i = 0; i < last; i++)
        ((volatile uint16_t *)c->screen)[i] = c->screen[i + columns];
    for (size_t i = 0; i < columns; i++)
        ((volatile uint16_t *)c->screen)[last + i] =
            (uint16_t)(VGA_ATTRIBUTE | (uint8_t)(i < len ? text[i] : ' '));
}

static void serial_text(struct console *c, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            uart_put(c, '\r');
        uart_put(c, text[i]);
    }
}

void console_open(struct console *c, const struct console_args *args, enum console_level level)
{
    c->args = *args;
    c->level = level;
    if (args->serial == CONSOLE_PORT)
        uart_open(c);
}

// The early lines went to no mapped device yet.
static void replay_early(struct console *c, bool serial, bool vga)
{
    if (serial)
        serial_text(c, c->early, c->early_len);
    for (size_t start = 0, i = 0; vga && i < c->early_len; i++) {
        if (c->early[i] == '\n') {
            screen_line(c, c->early + start, i - start);
            start = i + 1;
        }
    }
    c->early_len = 0;
}

void console_open_mapped(struct console *c, struct paging *paging, const uint8_t *bp)
{
    bool mapped = c->args.serial == CONSOLE_MMIO8 || c->args.serial == CONSOLE_MMIO32;
    if (mapped && paging_map_device(paging, c->args.address) == DAM_OK &&
        paging_map_device(paging, c->args.address + 4 * UART_LSR) == DAM_OK)
        uart_open(c);
    unsigned columns = bp[BP_SCREEN_COLUMNS], lines = bp[BP_SCREEN_LINES];
    if (c->args.vga && bp[BP_SCREEN_IS_VGA] == 1 && columns >= 40 && lines >= 2 &&
        columns * lines * 2 <= VGA_TEXT_SIZE) {
        c->screen = (uint16_t *)(uintptr_t)VGA_TEXT;
        c->columns = columns;
        c->lines = lines;
        c->vga_open = true;
    }
    replay_early(c, mapped, c->vga_open);
}

void console_line(struct console *c, enum console_level level, const char *format, ...)
{
    if (level > c->level)
        return;
    static const char prefix[] = "cofferdam: ";
    char line[CONSOLE_LINE_MAX];
    memcpy(line, prefix, sizeof(prefix) - 1);
    va_list args;
    va_start(args, format);
    size_t len = sizeof(prefix) - 1;
    len += text_vformat(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    screen_line(c, line, len);
    line[len++] = '\n';
    serial_text(c, line, len);
    if (len <= sizeof(c->early) - c->early_len) {
        memcpy(c->early + c->early_len, line, len);
        c->early_len += len;
    }
}
