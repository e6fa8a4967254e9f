// SPDX-License-Identifier: MIT
#include "text.h"

#include "number.h"

struct line {
    char *out;
    size_t len, size;
};

static void put(struct line *line, char c)
{
    if (line->len + 1 < line->size)
        line->out[line->len++] = c;
}

static void put_string(struct line *line, const char *s)
{
    for (; *s; s++)
        put(line, *s >= ' ' && *s <= '~' ? *s : '?');
}

static void put_number(struct line *line, uint64_t v, unsigned base, unsigned width, char fill)
{
    char digits[20];
    unsigned n = 0;
    do {
        unsigned digit = (unsigned)(v % base);
        digits[n++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        v /= base;
    } while (v);
    for (; width > n; width--)
        put(line, fill);
    while (n)
        put(line, digits[--n]);
}

// What a format says after '%', up to and without the conversion.
struct spec {
    char fill;
    unsigned width;
    bool is_long;
};

static const char *read_spec(const char *p, struct spec *spec)
{
    *spec = (struct spec){.fill = ' '};
    if (*p == '0') {
        spec->fill = '0';
        p++;
    }
    for (; *p >= '0' && *p <= '9'; p++)
        if (spec->width < 100)
            spec->width = spec->width * 10 + (unsigned)(*p - '0');
    if (*p == 'l') {
        spec->is_long = true;
        p++;
    }
    return p;
}

size_t text_vformat(char *out, size_t size, const char *format, va_list args)
{
    struct line line = {.out = out, .size = size};
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put(&line, *p);
            continue;
        }
        struct spec spec;
        p = read_spec(p + 1, &spec);
        if (!*p)
            break;
        if (*p == 's')
            put_string(&line, va_arg(args, const char *));
        else if (*p == 'c')
            put(&line, (char)va_arg(args, int));
        else if (*p == 'u' || *p == 'x')
            put_number(&line, spec.is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned),
                       *p == 'u' ? 10 : 16, spec.width, spec.fill);
        else
            put(&line, *p);
    }
    out[line.len] = '\0';
    return line.len;
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t len = text_vformat(out, size, format, args);
    va_end(args);
    return len;
}

// Lists of text are one string each, "VALUE:text" entries with a NUL behind each: a table of pointers would
// have to be relocated, and nobody relocates the stage.
static const char *find(const char *list, size_t size, uint32_t value)
{
    const char *end = list + size;
    for (const char *at = list; at < end && *at;) {
        uint64_t number;
        size_t digits = number_digits(at, end, 10, &number);
        if (digits && number == value)
            return at + digits + 1;
        while (*at)
            at++;
        at++;
    }
    return "?";
}

const char *text_of_stop(uint32_t stop)
{
#define DAM_X(name, value, text) #value ":" text "\0"
    static const char list[] = DAM_STOPS(DAM_X);
#undef DAM_X
    return find(list, sizeof(list), stop);
}

const char *text_of_finding(uint32_t code)
{
#define DAM_X(name, value, severity, text) #value ":" text "\0"
    static const char list[] = DAM_FINDINGS(DAM_X);
#undef DAM_X
    return find(list, sizeof(list), code);
}

const char *text_of_policy(uint32_t policy)
{
#define DAM_X(name, value, word) #value ":" word "\0"
    static const char list[] = DAM_POLICIES(DAM_X);
#undef DAM_X
    return find(list, sizeof(list), policy);
}

const char *text_of_error(uint32_t err)
{
    // These have no number in their list: they count from 0.
#define DAM_X(name, text) text "\0"
    static const char list[] = DAM_ERRORS(DAM_X);
#undef DAM_X
    const char *at = list;
    for (; err && *at; err--) {
        while (*at)
            at++;
        at++;
    }
    return *at ? at : "?";
}

const char *text_of_unit_status(uint32_t status)
{
    static const char list[] = "0:taken over\0"
                               "1:absent\0"
                               "2:off, left alone\0"
                               "3:not supported, left alone\0"
                               "4:broken root or device table, left alone\0"
                               "5:failed, on the old tables\0"
                               "6:failed after the switch\0"
                               "7:planned, not reached\0"
                               "8:turned on\0"
                               "9:could not be planned, left alone\0";
    static_assert(DAM_UNIT_TAKEN == 0 && DAM_UNIT_LEFT == 9, "the list above");
    return find(list, sizeof(list), status);
}
