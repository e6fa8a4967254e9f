// SPDX-License-Identifier: MIT
// Any bytes as a command line: nothing may be read or written outside, what is kept is well-formed, and a
// line with its elfcorehdr= replaced says the new address and otherwise the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pure/cmdline.h"

#define ADDRESS 0x17D600000ull

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_kept(const struct cmdline_options *o)
{
    require(o->kept_size <= sizeof(o->kept) && o->bad_words <= o->words &&
            o->choice_count <= DAM_MAX_CHOICES);
    uint32_t ends = 0;
    for (uint32_t i = 0; i < o->kept_size; i++)
        ends += o->kept[i] == '\0';
    require(ends == o->words);
    uint32_t listed = o->bad_words < CMDLINE_MAX_BAD ? o->bad_words : CMDLINE_MAX_BAD;
    for (uint32_t i = 0; i < listed; i++)
        require(o->bad[i].offset < o->kept_size && o->bad[i].number >= 1 && o->bad[i].number <= o->words);
    for (size_t i = 0; i < o->choice_count; i++)
        require(o->choices[i].policy <= DAM_POLICY_BLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cmdline_options before, after;
    const char *line = (const char *)data;
    cmdline_parse(line, size, &before);
    check_kept(&before);

    size_t max = size + 64, len;
    char *out = malloc(max + 1);
    dam_err err = cmdline_set_elfcorehdr(line, size, ADDRESS, out, max, &len);
    require(err == DAM_OK || size > 64);
    if (!err) {
        require(len <= max && out[len] == '\0');
        if (len <= CMDLINE_MAX && size <= CMDLINE_MAX) {
            cmdline_parse(out, len, &after);
            require(!before.has_elfcorehdr || (after.has_elfcorehdr && after.elfcorehdr == ADDRESS));
            require(after.words == before.words && after.bad_words == before.bad_words);
            require(after.kept_size == before.kept_size &&
                    memcmp(after.kept, before.kept, before.kept_size) == 0);
            require(after.off == before.off && after.exactmap == before.exactmap);
        }
        // One byte less may still do, in the shorter form; none at all does not.
        size_t longest = len;
        err = longest ? cmdline_set_elfcorehdr(line, size, ADDRESS, out, longest - 1, &len) : DAM_E_LENGTH;
        require(err ? err == DAM_E_LENGTH : before.has_elfcorehdr || len < longest);
        require(!longest || cmdline_set_elfcorehdr(line, size, ADDRESS, out, 0, &len) == DAM_E_LENGTH);
    }
    err = cmdline_set_acpi_rsdp(line, size, ADDRESS, out, max, &len);
    require(err == DAM_OK || size > 64);
    if (!err && len <= CMDLINE_MAX && size <= CMDLINE_MAX) {
        require(len <= max && out[len] == '\0');
        cmdline_parse(out, len, &after);
        require(after.acpi_rsdp == ADDRESS && after.words == before.words);
        require(after.has_elfcorehdr == before.has_elfcorehdr && after.elfcorehdr == before.elfcorehdr);
    }
    free(out);
    return 0;
}
