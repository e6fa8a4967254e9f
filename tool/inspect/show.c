// SPDX-License-Identifier: MIT
#include "inspect/show.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/pci_names.h"
#include "inspect/progress.h"
#include "names.h"

// ---- arguments -------------------------------------------------------------------------------------------
bool show_parse_address(const char *text, uint64_t *out)
{
    char *end;
    if (strncmp(text, "0x", 2) == 0 || strncmp(text, "0X", 2) == 0)
        text += 2;
    // strtoull() takes blanks and signs, which no address has.
    if (!isxdigit((unsigned char)*text))
        return false;
    errno = 0;
    *out = strtoull(text, &end, 16);
    return errno == 0 && *end == '\0';
}

bool show_parse_size(const char *text, uint64_t *out)
{
    if (strncmp(text, "0x", 2) == 0 || strncmp(text, "0X", 2) == 0)
        return show_parse_address(text, out);
    return cli_parse_size(text, out);
}

bool show_parse_range(const char *text, uint64_t *first, uint64_t *last)
{
    char start[32];
    size_t length = strcspn(text, "-+");
    if (length >= sizeof start)
        return false;
    memcpy(start, text, length);
    start[length] = '\0';
    if (!show_parse_address(start, first))
        return false;
    *last = *first;
    if (text[length] == '-')
        return show_parse_address(text + length + 1, last) && *last >= *first;
    if (text[length] != '+')
        return true;
    uint64_t size;
    if (!show_parse_size(text + length + 1, &size) || size == 0 || size - 1 > UINT64_MAX - *first)
        return false;
    *last = *first + (size - 1);
    return true;
}

// ---- JSON ------------------------------------------------------------------------------------------------
void show_json_begin(struct json_out *out, const struct verb_call *call, const struct inspection *inspection)
{
    *out = (struct json_out){0};
    json_out_object(out, NULL);
    json_out_text(out, "verb", call->verb->name);
    json_out_text(out, "dump", inspection->path);
}

void show_json_end(struct json_out *out, bool incomplete)
{
    while (out->depth > 1)
        json_out_end(out);
    json_out_bool(out, "incomplete", incomplete);
    json_out_bool(out, "partial", progress_interrupted());
    json_out_end(out);
}

struct json_object *show_range_json(const struct inspect_range *range)
{
    static const char *const kinds[] = {
        [INSPECT_MAPPED] = "mapped", [INSPECT_UNKNOWN] = "unknown", [INSPECT_BROKEN] = "broken"};
    struct json_object *o = json_object_new_object();
    json_put_text(o, "kind", kinds[range->kind]);
    json_put_hex(o, "iova", range->iova);
    json_put_number(o, "size", range->size);
    if (range->kind == INSPECT_MAPPED) {
        json_put_hex(o, "address", range->addr);
        json_put_bool(o, "readable", range->r);
        json_put_bool(o, "writable", range->w);
    }
    return o;
}

// ---- requesters ------------------------------------------------------------------------------------------
int show_find(const struct verb_call *call, const struct inspection *inspection, const char *text,
              struct inspect_requester **out)
{
    struct tool_error error;
    switch (requester_find(inspection, text, out, &error)) {
    case REQUESTER_FOUND:
        return INSPECT_OK;
    case REQUESTER_UNKNOWN:
        cli_error(call->self, TOOL_OK, "%s: %s", inspection->path, error.text);
        return INSPECT_INCOMPLETE;
    case REQUESTER_NO_NAME:
    case REQUESTER_NO_ENTRY:
        break;
    }
    cli_error(call->self, TOOL_OK, "%s: %s", inspection->path, error.text);
    return INSPECT_USAGE;
}

// What a requester is, as far as anybody knows: "Ethernet controller: Intel … [e1000e]", or "".
static const char *device_line(const struct inspection *inspection, const struct inspect_requester *r,
                               struct pci_names *names, char line[PCI_NAME_LINE])
{
    const struct inspect_device *device = inspect_device_of(inspection, r->unit->segment, r->rid);
    struct pci_name name;
    line[0] = '\0';
    if (device != NULL && r->span <= 1) {
        pci_name_of(names, device, &name);
        pci_name_line(&name, line);
    }
    return line;
}

static void show_device(const struct inspection *inspection, const struct inspect_requester *r)
{
    char line[PCI_NAME_LINE];
    struct pci_names *names = pci_names_open(NULL);
    if (device_line(inspection, r, names, line)[0] != '\0')
        printf("%s\n", line);
    pci_names_close(names);
}

void show_requester(const struct inspection *inspection, const struct inspect_requester *r)
{
    char name[REQUESTER_TEXT], more[REQUESTER_MORE];
    text_print(TEXT_HEAD, "%s%s", requester_text(r, name), requester_more(r, more));
    printf(" on %s", r->unit->name);
    if (requester_problem(r) == NULL || r->words != 0)
        printf(", domain %u, %s%s", r->did, name_stage(r->stage),
               r->stage == DAM_STAGE_FIRST || r->stage == DAM_STAGE_SECOND ? " stage" : "");
    if (r->tree != NULL && r->tree->stage != DAM_STAGE_PASSTHROUGH)
        printf(", %u levels, tables at 0x%" PRIx64, r->tree->params.levels, r->tree->root.v);
    putchar('\n');
    show_device(inspection, r);
    if (r->unit->origin == ORIGIN_GUESS)
        text_print(TEXT_WARN, "A guess: %s was found by what its tables look like.\n", r->unit->name);
    if (r->stage == DAM_STAGE_NESTED)
        printf("Nested: what the device sends goes through %s at 0x%" PRIx64
               " before it, which are not followed; below, IOVA is what they give.\n",
               r->unit->kind->first_name, r->first_root.v);
    if (requester_unit_off(r->unit))
        text_print(TEXT_WARN, "Translation was off in %s: these tables were not in use.\n", r->unit->name);
}

// The next requester of a tree; NULL: no more.
static const struct inspect_requester *next_sharer(const struct inspection *inspection,
                                                   const struct inspect_tree *tree, size_t *i)
{
    if (*i == 0 && tree->first != NULL)
        *i = (size_t)(tree->first - inspection->requesters);
    while (*i < inspection->requester_count) {
        const struct inspect_requester *r = &inspection->requesters[(*i)++];
        if (r->tree == tree)
            return r;
    }
    return NULL;
}

void show_sharers(const struct inspection *inspection, const struct inspect_tree *tree)
{
    const struct inspect_requester *r;
    const char *separator = "";
    size_t i = 0;
    while ((r = next_sharer(inspection, tree, &i)) != NULL) {
        char name[REQUESTER_TEXT], more[REQUESTER_MORE];
        fputs(separator, stdout);
        text_print(TEXT_HEAD, "%s%s", requester_text(r, name), requester_more(r, more));
        separator = ", ";
    }
}

void show_sharer_lines(const struct inspection *inspection, const struct inspect_tree *tree,
                       struct pci_names *names)
{
    const struct inspect_requester *r;
    size_t i = 0;
    while ((r = next_sharer(inspection, tree, &i)) != NULL) {
        char name[REQUESTER_TEXT], more[REQUESTER_MORE], line[PCI_NAME_LINE];
        text_print(TEXT_HEAD, "%s%s", requester_text(r, name), requester_more(r, more));
        printf("%s%s\n", device_line(inspection, r, names, line)[0] != '\0' ? "  " : "", line);
    }
}

void show_json_sharers(struct json_out *out, const struct inspection *inspection,
                       const struct inspect_tree *tree)
{
    const struct inspect_requester *r;
    size_t i = 0;
    json_out_list(out, "requesters");
    while ((r = next_sharer(inspection, tree, &i)) != NULL) {
        char name[REQUESTER_TEXT];
        json_out_value(out, NULL, json_object_new_string(requester_text(r, name)));
    }
    json_out_end(out);
}

// ---- tables ----------------------------------------------------------------------------------------------
unsigned show_iova_bits(const struct inspect_tree *tree)
{
    if (tree->stage == DAM_STAGE_PASSTHROUGH || tree->params.canonical)
        return 64;
    unsigned bits = DAM_PAGE_SHIFT + 9u * tree->params.levels;
    return bits < 64 ? bits : 64;
}

int show_iova_digits(const struct inspect_tree *tree)
{
    unsigned bits = show_iova_bits(tree);
    if (tree->stage == DAM_STAGE_PASSTHROUGH)
        bits = tree->unit->host_address_width != 0 ? tree->unit->host_address_width : 52;
    return (int)((bits + 3) / 4);
}

const char *show_rights(bool r, bool w)
{
    return r && w ? "read and write" : w ? "write only" : r ? "read only" : "neither read nor write";
}

const char *show_table_name(unsigned level)
{
    static const char *const names[PT_MAX_LEVELS] = {"PT", "PD", "PDPT", "PML4", "PML5", "PML6"};
    return level < PT_MAX_LEVELS ? names[level] : "?";
}

const char *show_entry_name(unsigned level)
{
    static const char *const names[PT_MAX_LEVELS] = {"PTE", "PDE", "PDPE", "PML4E", "PML5E", "PML6E"};
    return level < PT_MAX_LEVELS ? names[level] : "?";
}

const char *show_way_end(enum inspect_way_end end)
{
    static const char *const words[] = {[WAY_MAPPED] = "mapped",
                                        [WAY_NOT_MAPPED] = "not mapped",
                                        [WAY_UNKNOWN] = "unknown",
                                        [WAY_BROKEN] = "broken",
                                        [WAY_BEYOND] = "beyond"};
    return words[end];
}

dam_err show_go_on(void)
{
    if (ferror(stdout))
        return DAM_E_IO;
    return progress_interrupted() ? DAM_E_STATE : DAM_OK;
}
