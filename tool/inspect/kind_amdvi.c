// SPDX-License-Identifier: MIT
// AMD-Vi, as inspect asks for it: where device tables are, and what lies between them and the page tables.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/ivrs.h>

#include "inspect/amdvi.h"
#include "inspect/show.h"
#include "iommu/amdvi/lookup.h"
#include "iommu/amdvi/regs.h"
#include "json.h"

#define FUNCTION_TABLES 1024u // GCR3 tables of one function
#define MOST_BYTES      (AMDVI_REQUESTERS * sizeof(struct amdvi_dte))

#define ANY_EFR                                                                                              \
    (dam_bits_mask(AMDVI_EFR_GT) | dam_bits_put(2, AMDVI_EFR_HATS) | dam_bits_put(1, AMDVI_EFR_GATS) |       \
     dam_bits_put(2, AMDVI_EFR_GLX) | dam_bits_put(19, AMDVI_EFR_PASMAX) | dam_bits_mask(AMDVI_EFR_GIO) |    \
     dam_bits_mask(AMDVI_EFR_HA) | dam_bits_mask(AMDVI_EFR_HD))

struct amdvi_features amdvi_any_features(uint64_t encrypt)
{
    return (struct amdvi_features){.efr = ANY_EFR, .encrypt = encrypt, .haw = INSPECT_WIDEST};
}

static struct amdvi_features features_of(const struct inspect_unit *u)
{
    // The first units had no such register.
    return (struct amdvi_features){.efr = u->cap ? u->cap : ANY_EFR,
                                   .efr2 = u->ecap,
                                   .encrypt = u->encrypt,
                                   .haw = u->host_address_width};
}

static struct amdvi_device_table table_of(const struct inspect_unit *u)
{
    return (struct amdvi_device_table){
        .reg = {u->registers.amdvi.device_table},
        .log2_segments = (uint8_t)dam_bits_get(u->registers.amdvi.control, AMDVI_CONTROL_SEGMENTS),
    };
}

// ---- units -----------------------------------------------------------------------------------------------
static enum tool_status bad_table(const char *text, struct tool_error *error)
{
    return tool_fail(error, TOOL_USAGE,
                     "--amd-devtab %s: an address of a page is wanted, and \",SIZE\" behind it (whole pages, "
                     "up to 2 MiB), or the size in bits 8:0 as the register has it",
                     text);
}

static uint64_t put_pages(uint64_t base, uint64_t pages)
{
    return dam_bits_set(base, pages - 1, AMDVI_DEVTAB_SIZE);
}

static enum tool_status given(struct inspection *in, const char *text, struct inspect_unit *unit,
                              struct tool_error *error)
{
    char *end;
    uint64_t size;
    if (!isdigit((unsigned char)text[0]))
        return bad_table(text, error);
    errno = 0;
    uint64_t value = strtoull(text, &end, 0), base = value & dam_bits_mask(AMDVI_DEVTAB_BASE);
    if (errno != 0 || (value & ~(dam_bits_mask(AMDVI_DEVTAB_BASE) | dam_bits_mask(AMDVI_DEVTAB_SIZE))))
        return bad_table(text, error);
    if (*end == ',') {
        if (value != base || !show_parse_size(end + 1, &size) || size == 0 || size > MOST_BYTES ||
            size % DAM_PAGE_SIZE)
            return bad_table(text, error);
        value = put_pages(base, size / DAM_PAGE_SIZE);
    } else if (*end != '\0') {
        return bad_table(text, error);
    } else if (value == base) {
        value = put_pages(base, scan_amdvi_pages(in->memory, dam_pa_of(base & ~unit->encrypt)));
    }
    unit->registers.amdvi.device_table = value;
    return TOOL_OK;
}

static void guessed(const struct scan_root *root, struct inspect_unit *unit)
{
    unit->registers.amdvi.device_table = put_pages(root->root.v, root->size / DAM_PAGE_SIZE);
}

static bool translates(const struct inspect_unit *unit)
{
    return dam_bits_get(unit->registers.amdvi.control, AMDVI_CONTROL_ENABLE);
}

static void complete(struct inspect_unit *u)
{
    if (!u->has_registers)
        u->cap = amdvi_any_features(0).efr;
    const struct amdvi_device_table table = table_of(u);
    u->root = amdvi_segment_base(&table, 0, u->encrypt);
    u->table_size = (dam_bits_get(table.reg[0], AMDVI_DEVTAB_SIZE) + 1) * DAM_PAGE_SIZE;
    u->mode = table.log2_segments ? "segmented" : "single";
}

static uint8_t width(const uint8_t *table, size_t length)
{
    struct ivrs_table ivrs;
    return ivrs_open(table, length, &ivrs) ? 0 : (uint8_t)dam_bits_get(ivrs.info, IVRS_INFO_PA_SIZE);
}

// What the dead kernel knows of the control register is only that it wrote it.
static void put_registers(const struct inspect_unit *u, struct json_object *out)
{
    json_put_hex(out, "device_table", u->registers.amdvi.device_table);
    if (!u->has_registers)
        return;
    json_put_hex(out, "efr", u->cap);
    json_put_hex(out, "efr2", u->ecap);
    if (u->origin != ORIGIN_NOTE)
        return;
    json_put_hex(out, "control", u->registers.amdvi.control);
    json_put_hex(out, "status", u->registers.amdvi.status);
}

static struct inspect_register table_register(const struct inspect_unit *unit)
{
    return (struct inspect_register){AMDVI_DEVTAB_REG, unit->registers.amdvi.device_table};
}

static struct inspect_register state_register(const struct inspect_unit *unit)
{
    return (struct inspect_register){AMDVI_CONTROL_REG, unit->registers.amdvi.control};
}

// ---- tables ----------------------------------------------------------------------------------------------
// Of several tables only the first one's address is kept anywhere.
static enum inspect_tables tables(const struct inspect_unit *unit, uint16_t *finding)
{
    bool one = table_of(unit).log2_segments == 0;
    *finding = one ? DAM_F_NONE : DAM_F_UNIT_MODE;
    return one ? TABLES_READ : TABLES_UNKNOWN;
}

static dam_err look_up(const struct inspect_unit *unit, struct inspect_reading *reading, void *ctx,
                       dam_err (*found)(void *ctx, const struct iommu_hit *hit))
{
    const struct amdvi_features features = features_of(unit);
    const struct amdvi_device_table table = table_of(unit);
    const struct amdvi_lookup lookup = {
        .features = &features,
        .memory = &reading->memory,
        .buffers = reading->buffers,
        .function_tables = FUNCTION_TABLES,
        .ctx = ctx,
        .found = found,
    };
    return amdvi_lookup(&lookup, &table);
}

static void format(enum dam_stage stage, struct pt_format *out)
{
    if (stage == DAM_STAGE_FIRST)
        pt_format_amdv2(out);
    else
        pt_format_amdv1(out);
}

static struct pt_params params(const struct inspect_unit *unit, enum dam_stage stage, uint8_t levels)
{
    const struct amdvi_features features = features_of(unit);
    return amdvi_tree_params(&features, stage, levels);
}

static uint32_t domain_ids(const struct inspect_unit *unit)
{
    (void)unit;
    return 65536;
}

static unsigned entry_words(const struct iommu_hit *hit)
{
    return hit->flags & DAM_REQ_PASID ? 1 : AMDVI_DTE_WORDS;
}

static const char *const steps[IOMMU_STEPS] = {"device table entry", "GCR3 table entry", "GCR3 table entry",
                                               "GCR3 table entry"};

const struct unit_kind inspect_amdvi = {
    .id = DAM_IOMMU_AMDVI,
    .name = "AMD-Vi",
    .option = "--amd-devtab",
    .option_help = "      --amd-devtab ADDR[,SIZE]\n"
                   "                        a device table of an AMD IOMMU; may be given several times. "
                   "Without a size,\n"
                   "                        as far as its pages look like one\n",
    .first_name = "the guest tables of the GCR3 table",
    .step_names = steps,
    .shares_tables = true,
    .has_debugfs = false,
    .given = given,
    .guessed = guessed,
    .translates = translates,
    .complete = complete,
    .width = width,
    .put_registers = put_registers,
    .table_register = table_register,
    .state_register = state_register,
    .kernel_units = kernel_amdvi_units,
    .scan_page = scan_amdvi_page,
    .scan_end = scan_amdvi_end,
    .tables = tables,
    .look_up = look_up,
    .format = format,
    .params = params,
    .domain_ids = domain_ids,
    .entry_words = entry_words,
    .step_fields = amdvi_step_fields,
    .entry_fields = amdvi_entry_fields,
    .entry_name = amdvi_entry_name,
};
