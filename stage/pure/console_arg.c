// SPDX-License-Identifier: MIT
#include "console_arg.h"

#include "number.h"

// Comma-separated text, eaten from the front.
struct list {
    const char *at, *end;
};

static void next_item(struct list *list, const char **item, size_t *len)
{
    *item = list->at;
    while (list->at < list->end && *list->at != ',')
        list->at++;
    *len = (size_t)(list->at - *item);
    if (list->at < list->end)
        list->at++;
}

// The ports of a PC's four serial lines.
static uint16_t port_of_line(uint64_t line)
{
    switch (line) {
    case 0:
        return 0x3F8;
    case 1:
        return 0x2F8;
    case 2:
        return 0x3E8;
    case 3:
        return 0x2E8;
    default:
        return 0;
    }
}

// ttySN or 0xPORT. False when it is neither.
static bool serial_name(const char *at, size_t len, uint64_t *port)
{
    uint64_t v;
    size_t prefix = text_prefix(at, len, "ttyS");
    if (prefix) {
        if (number_digits(at + prefix, at + len, 10, &v) != len - prefix || len == prefix)
            return false;
        *port = port_of_line(v);
        return *port != 0;
    }
    prefix = text_prefix(at, len, "0x");
    if (!prefix || number_digits(at + prefix, at + len, 16, &v) != len - prefix || v == 0 || v > 0xFFF8)
        return false;
    *port = v;
    return true;
}

// The baud rate that the next item begins with ("115200n8"), 0 when it names none that an 8250 can do.
static uint32_t take_baud(struct list *list)
{
    const char *item;
    size_t len;
    next_item(list, &item, &len);
    uint64_t v;
    if (!number_digits(item, item + len, 10, &v) || v < 50 || v > 115200)
        return 0;
    return (uint32_t)v;
}

static void take_port(uint64_t port, struct list *list, struct console_args *out)
{
    out->serial = CONSOLE_PORT;
    out->address = port;
    out->baud = take_baud(list);
}

// What follows "uart," or "uart8250,".
static void take_uart(struct list *list, struct console_args *out)
{
    const char *item, *address;
    size_t len, address_len;
    next_item(list, &item, &len);
    next_item(list, &address, &address_len);
    enum console_kind kind = text_equals(item, len, "io")       ? CONSOLE_PORT
                             : text_equals(item, len, "mmio")   ? CONSOLE_MMIO8
                             : text_equals(item, len, "mmio32") ? CONSOLE_MMIO32
                                                                : CONSOLE_NONE;
    uint64_t v;
    if (kind == CONSOLE_NONE || !address_len ||
        number_memparse(address, address + address_len, &v) != address_len || v == 0)
        return;
    if (kind == CONSOLE_PORT ? v > 0xFFF8 : v % 4 != 0)
        return;
    out->serial = kind;
    out->address = v;
    out->baud = take_baud(list);
}

static void take_console(struct list *list, struct console_args *out)
{
    const char *item;
    size_t len;
    uint64_t port;
    next_item(list, &item, &len);
    if (text_equals(item, len, "tty0"))
        out->vga = true;
    else if (text_equals(item, len, "uart") || text_equals(item, len, "uart8250"))
        take_uart(list, out);
    else if (text_prefix(item, len, "ttyS") && serial_name(item, len, &port))
        take_port(port, list, out);
}

static void take_earlyprintk(struct list *list, struct console_args *out)
{
    const char *item;
    size_t len;
    uint64_t port;
    next_item(list, &item, &len);
    if (text_equals(item, len, "vga")) {
        out->vga = true;
        return;
    }
    if (text_equals(item, len, "serial")) {
        next_item(list, &item, &len);
        if (!len) { // Linux: the first line, at its default speed
            take_port(port_of_line(0), list, out);
            return;
        }
    }
    if (serial_name(item, len, &port))
        take_port(port, list, out);
}

void console_arg_take(const struct word *word, struct console_args *out)
{
    struct list list = {word->value, word->value + word->value_len};
    if (word_is(word, "console")) {
        take_console(&list, out);
    } else if (word_is(word, "earlycon")) {
        const char *item;
        size_t len;
        next_item(&list, &item, &len);
        if (text_equals(item, len, "uart") || text_equals(item, len, "uart8250"))
            take_uart(&list, out);
    } else if (word_is(word, "earlyprintk")) {
        take_earlyprintk(&list, out);
    }
}
