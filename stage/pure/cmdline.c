// SPDX-License-Identifier: MIT
#include "cmdline.h"

#include <string.h>

#include "number.h"
#include "word.h"

static bool policy_of(const char *at, size_t len, enum dam_policy *out)
{
#define DAM_X(name, value, word)                                                                             \
    if (text_equals(at, len, word)) {                                                                        \
        *out = name;                                                                                         \
        return true;                                                                                         \
    }
    DAM_POLICIES(DAM_X)
#undef DAM_X
    return false;
}

// One hexadecimal field of at most max_digits digits, at most max, followed by the character next (0: by
// nothing).
static bool hex_field(const char **at, const char *end, size_t max_digits, uint64_t max, char next,
                      uint16_t *out)
{
    uint64_t v;
    size_t digits = number_digits(*at, end, 16, &v);
    if (!digits || digits > max_digits || v > max)
        return false;
    *at += digits;
    *out = (uint16_t)v;
    if (!next)
        return *at == end;
    if (*at == end || **at != next)
        return false;
    (*at)++;
    return true;
}

static bool view_of(const char *at, size_t len, enum dam_view *out)
{
#define DAM_X(name, value, word)                                                                             \
    if (text_equals(at, len, word)) {                                                                        \
        *out = name;                                                                                         \
        return true;                                                                                         \
    }
    DAM_VIEWS(DAM_X)
#undef DAM_X
    return false;
}

// One of two words. False when it is neither.
static bool either_of(const struct word *word, const char *no, const char *yes, bool *out)
{
    bool is = text_equals(word->value, word->value_len, yes);
    if (!is && !text_equals(word->value, word->value_len, no))
        return false;
    *out = is;
    return true;
}

// [SSSS:]BB:DD.F, as lspci writes it.
static bool requester_of(const char *at, const char *end, dam_requester *out)
{
    uint16_t segment = 0, bus, device, function;
    size_t colons = 0;
    for (const char *p = at; p < end; p++)
        colons += *p == ':';
    if (colons == 2 && !hex_field(&at, end, 4, 0xFFFF, ':', &segment))
        return false;
    if (!hex_field(&at, end, 2, 0xFF, ':', &bus) || !hex_field(&at, end, 2, 0x1F, '.', &device) ||
        !hex_field(&at, end, 1, 7, 0, &function))
        return false;
    *out = (dam_requester){segment, (uint16_t)(bus << 8 | device << 3 | function)};
    return true;
}

static bool same_requester(dam_requester a, dam_requester b)
{
    return a.segment == b.segment && a.rid == b.rid;
}

// REQUESTER or REQUESTER@PASID; a PASID has 20 bits.
static bool choice_name(const char *at, const char *end, struct dam_choice *out)
{
    const char *name_end = at;
    while (name_end < end && *name_end != '@')
        name_end++;
    out->pasid = DAM_ANY_PASID;
    if (name_end < end) {
        uint64_t v;
        size_t digits = number_digits(name_end + 1, end, 16, &v);
        if (!digits || digits > 5 || name_end + 1 + digits != end)
            return false;
        out->pasid = (uint32_t)v;
    }
    return requester_of(at, name_end, &out->requester);
}

// cofferdam.policy.REQUESTER=POLICY; a requester that is named again gets the later policy.
static bool choose(const struct word *word, size_t prefix, struct cmdline_options *out)
{
    struct dam_choice choice;
    if (!word->value || !choice_name(word->name + prefix, word->name + word->name_len, &choice) ||
        !policy_of(word->value, word->value_len, &choice.policy))
        return false;
    size_t i = 0;
    while (i < out->choice_count && (!same_requester(out->choices[i].requester, choice.requester) ||
                                     out->choices[i].pasid != choice.pasid))
        i++;
    if (i == DAM_MAX_CHOICES)
        return false;
    out->choices[i] = choice;
    if (i == out->choice_count)
        out->choice_count++;
    return true;
}

// cofferdam.window=REQUESTER[,REQUESTER...]: all of them, or none when one is wrong.
static bool name_windows(const struct word *word, struct cmdline_options *out)
{
    const char *at = word->value, *end = word->value + word->value_len;
    size_t count = out->window_count;
    for (;;) {
        const char *comma = at;
        while (comma < end && *comma != ',')
            comma++;
        if (count == DAM_MAX_CHOICES || !requester_of(at, comma, &out->windows[count]))
            return false;
        count++;
        if (comma == end)
            break;
        at = comma + 1;
    }
    out->window_count = count;
    return true;
}

static bool own_word_with_value(const struct word *word, struct cmdline_options *out)
{
    if (word_is(word, "cofferdam.policy")) {
        if (!policy_of(word->value, word->value_len, &out->policy))
            return false;
        out->policy_given = true;
        return true;
    }
    if (word_is(word, "cofferdam.iommu"))
        return view_of(word->value, word->value_len, &out->view);
    if (word_is(word, "cofferdam.raise"))
        return either_of(word, "never", "always", &out->raise);
    if (word_is(word, "cofferdam.broken"))
        return either_of(word, "block", "scratch", &out->broken_scratch);
    if (word_is(word, "cofferdam.irq"))
        return either_of(word, "keep", "mask", &out->mask_irqs);
    if (word_is(word, "cofferdam.window"))
        return name_windows(word, out);
    size_t prefix = text_prefix(word->name, word->name_len, "cofferdam.policy.");
    return prefix && choose(word, prefix, out);
}

// One cofferdam.* word. False when it is not understood.
static bool own_word(const struct word *word, struct cmdline_options *out)
{
    if (word->value)
        return own_word_with_value(word, out);
    if (word_is(word, "cofferdam.verbose"))
        out->verbose = true;
    else if (word_is(word, "cofferdam.quiet"))
        out->quiet = true;
    else if (word_is(word, "cofferdam.off"))
        out->off = true;
    else
        return false;
    return true;
}

static void keep_word(const struct word *word, bool good, struct cmdline_options *out)
{
    out->words++;
    // Every kept word was in the line, with a space or the end behind it: only the very last can lack room
    // for its terminator.
    uint32_t offset = out->kept_size;
    size_t len = word->raw_len;
    if (len > sizeof(out->kept) - 1 - offset)
        len = sizeof(out->kept) - 1 - offset;
    memcpy(out->kept + offset, word->raw, len);
    for (size_t i = 0; i < len; i++)
        if (out->kept[offset + i] == '\0')
            out->kept[offset + i] = '?';
    out->kept[offset + len] = '\0';
    out->kept_size = offset + (uint32_t)len + 1;
    if (good)
        return;
    if (out->bad_words < CMDLINE_MAX_BAD)
        out->bad[out->bad_words] = (struct cmdline_bad){(uint16_t)out->words, (uint16_t)offset};
    out->bad_words++;
}

// Whether one of the comma-separated parts of the value begins with text: Linux compares no more than that.
static bool has_part(const struct word *word, const char *text)
{
    for (size_t i = 0; i < word->value_len; i++)
        if ((i == 0 || word->value[i - 1] == ',') && text_prefix(word->value + i, word->value_len - i, text))
            return true;
    return false;
}

bool cmdline_turns_off(const char *line, size_t len, const char *driver)
{
    struct word word;
    bool all = false, one = false;
    if (len > CMDLINE_MAX)
        len = CMDLINE_MAX;
    for (const char *at = line; word_next(&at, line + len, &word);) {
        if (!word.value)
            continue;
        if (word_is(&word, "iommu"))
            all |= has_part(&word, "off");
        else if (word_is(&word, driver) && (has_part(&word, "on") || has_part(&word, "off")))
            one = has_part(&word, "off");
    }
    return all || one;
}

// Of several words the last one counts.
static void take_table_mode(const struct word *word, struct cmdline_options *out)
{
    if (has_part(word, "sm_on") || has_part(word, "sm_off"))
        out->legacy_tables = has_part(word, "sm_off");
}

// ADDR or SIZE@ADDR.
static void take_elfcorehdr(const struct word *word, struct cmdline_options *out)
{
    const char *end = word->value + word->value_len;
    uint64_t v;
    size_t n = number_memparse(word->value, end, &v);
    if (n && word->value + n < end && word->value[n] == '@')
        n = number_memparse(word->value + n + 1, end, &v);
    out->names_elfcorehdr = true;
    out->has_elfcorehdr = n != 0;
    out->elfcorehdr = n ? v : 0;
}

static void take_acpi_rsdp(const struct word *word, struct cmdline_options *out)
{
    const char *at = word->value, *end = word->value + word->value_len;
    if (end - at > 2 && at[0] == '0' && (at[1] | 0x20) == 'x')
        at += 2;
    uint64_t v;
    if (number_digits(at, end, 16, &v))
        out->acpi_rsdp = v;
}

void cmdline_parse(const char *line, size_t len, struct cmdline_options *out)
{
    memset(out, 0, sizeof(*out));
    if (len > CMDLINE_MAX)
        len = CMDLINE_MAX;
    struct word word;
    for (const char *at = line; word_next(&at, line + len, &word);) {
        if (text_prefix(word.name, word.name_len, "cofferdam.")) {
            keep_word(&word, own_word(&word, out), out);
        } else if (word.value) {
            if (word_is(&word, "elfcorehdr"))
                take_elfcorehdr(&word, out);
            else if (word_is(&word, "acpi_rsdp"))
                take_acpi_rsdp(&word, out);
            else if (word_is(&word, "acpi"))
                out->acpi_rsdt |= text_equals(word.value, word.value_len, "rsdt");
            else if (word_is(&word, "memmap"))
                out->exactmap |= has_part(&word, "exactmap");
            else if (word_is(&word, "intel_iommu"))
                take_table_mode(&word, out);
            else
                console_arg_take(&word, &out->consoles);
        }
    }
}

// 64 bits in hexadecimal with 0x, or fewer in decimal with K.
#define NUMBER_MAX 20

struct sink {
    char *out;
    size_t len, max;
    bool full;
};

static void sink_put(struct sink *sink, const char *at, size_t len)
{
    if (sink->full || len > sink->max - sink->len) {
        sink->full = true;
        return;
    }
    memcpy(sink->out + sink->len, at, len);
    sink->len += len;
}

// Both forms that Linux takes: 0x… for the eye, and decimal KiB, which is shorter.
static size_t hex_text(uint64_t v, char out[NUMBER_MAX])
{
    size_t len = 2;
    out[0] = '0';
    out[1] = 'x';
    unsigned shift = 60;
    while (shift && !(v >> shift))
        shift -= 4;
    for (;; shift -= 4) {
        unsigned digit = (unsigned)(v >> shift) & 15;
        out[len++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        if (!shift)
            return len;
    }
}

static size_t kib_text(uint64_t v, char out[NUMBER_MAX])
{
    char reversed[NUMBER_MAX];
    size_t digits = 0, len = 0;
    for (v >>= 10; v || !digits; v /= 10)
        reversed[digits++] = (char)('0' + v % 10);
    while (digits)
        out[len++] = reversed[--digits];
    out[len++] = 'K';
    return len;
}

// Copies the line with every word of that name replaced by one with this number; *replaced counts them.
static bool replace_word(const char *line, size_t len, const char *name, const char *number,
                         size_t number_len, struct sink *sink, size_t *replaced)
{
    struct word word;
    const char *copied = line;
    *replaced = 0;
    for (const char *at = line; word_next(&at, line + len, &word);) {
        if (!word.value || !word_is(&word, name))
            continue;
        // The whole word goes, with whatever quotes are in it: half of a pair would swallow what follows.
        sink_put(sink, copied, (size_t)(word.raw - copied));
        sink_put(sink, word.name, word.name_len);
        sink_put(sink, "=", 1);
        sink_put(sink, number, number_len);
        copied = word.raw + word.raw_len;
        (*replaced)++;
    }
    sink_put(sink, copied, (size_t)(line + len - copied));
    return !sink->full;
}

dam_err cmdline_set_elfcorehdr(const char *line, size_t len, uint64_t address, char *out, size_t max_len,
                               size_t *out_len)
{
    char number[NUMBER_MAX];
    size_t replaced;
    struct sink sink = {.out = out, .max = max_len};
    bool done = replace_word(line, len, "elfcorehdr", number, hex_text(address, number), &sink, &replaced);
    if (!done && address % 1024 == 0) {
        sink = (struct sink){.out = out, .max = max_len};
        done = replace_word(line, len, "elfcorehdr", number, kib_text(address, number), &sink, &replaced);
    }
    if (!done)
        return DAM_E_LENGTH;
    out[sink.len] = '\0';
    *out_len = sink.len;
    return DAM_OK;
}

dam_err cmdline_set_acpi_rsdp(const char *line, size_t len, uint64_t address, char *out, size_t max_len,
                              size_t *out_len)
{
    char number[NUMBER_MAX];
    size_t number_len = hex_text(address, number), replaced;
    struct sink sink = {.out = out, .max = max_len};
    bool done = replace_word(line, len, "acpi_rsdp", number, number_len, &sink, &replaced);
    if (done && !replaced) {
        // In front: behind a "--" it would be nothing to the kernel.
        sink = (struct sink){.out = out, .max = max_len};
        sink_put(&sink, "acpi_rsdp=", 10);
        sink_put(&sink, number, number_len);
        sink_put(&sink, " ", 1);
        sink_put(&sink, line, len);
        done = !sink.full;
    }
    if (!done)
        return DAM_E_LENGTH;
    out[sink.len] = '\0';
    *out_len = sink.len;
    return DAM_OK;
}
