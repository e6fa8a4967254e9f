// SPDX-License-Identifier: MIT
#include "inspect/amdvi.h"
#include "iommu/amdvi/regs.h"

// A number that is told when it says something.
static void number_if(struct entry_fields *out, const char *name, uint64_t value)
{
    if (value)
        entry_number(out, name, value);
}

// What becomes of DMA.
static const char *type_of(const struct amdvi_dte *dte)
{
    bool host = dam_bits_get(dte->w[0], AMDVI_DTE_MODE) != 0;
    if (amdvi_dte_kind(dte) == AMDVI_DTE_OPEN)
        return "not valid: everything passes";
    if (amdvi_dte_kind(dte) == AMDVI_DTE_BLOCKED)
        return "blocked";
    if (dam_bits_get(dte->w[0], AMDVI_DTE_GV))
        return host ? "guest tables over host tables" : "guest tables";
    return host ? "host tables" : "not translated";
}

static void host_fields(const struct amdvi_dte *dte, struct entry_fields *out)
{
    const uint64_t w = dte->w[0];
    entry_number(out, "levels", dam_bits_get(w, AMDVI_DTE_MODE));
    if (dam_bits_get(w, AMDVI_DTE_MODE))
        entry_address(out, "host table", w & dam_bits_mask(AMDVI_DTE_HOST));
    entry_flag(out, "readable", dam_bits_get(w, AMDVI_DTE_IR));
    entry_flag(out, "writable", dam_bits_get(w, AMDVI_DTE_IW));
    number_if(out, "accessed and dirty mode", dam_bits_get(w, AMDVI_DTE_HAD));
}

static void guest_fields(const struct amdvi_dte *dte, struct entry_fields *out)
{
    const struct amdvi_features features = amdvi_any_features(0);
    const struct amdvi_gcr3 gcr3 = amdvi_dte_gcr3(dte, &features);
    bool guest = dam_bits_get(dte->w[0], AMDVI_DTE_GV);
    entry_flag(out, "guest translation", guest);
    if (!guest)
        return;
    entry_address(out, "GCR3 table", gcr3.root.v);
    entry_number(out, "GCR3 levels", gcr3.levels);
    entry_number(out, "guest levels", gcr3.guest_levels);
    entry_flag(out, "PASID 0 for requests without", gcr3.rid);
}

static void request_fields(const struct amdvi_dte *dte, struct entry_fields *out)
{
    const uint64_t w0 = dte->w[0], w1 = dte->w[1];
    entry_number(out, "domain", dam_bits_get(w1, AMDVI_DTE_DOMAIN));
    entry_flag(out, "device TLB", dam_bits_get(w1, AMDVI_DTE_I));
    entry_flag(out, "secure device TLB", dam_bits_get(w1, AMDVI_DTE_SATS));
    entry_flag(out, "page requests", dam_bits_get(w0, AMDVI_DTE_PPR));
    entry_flag(out, "page answers with PASID", dam_bits_get(w0, AMDVI_DTE_GPRP));
    entry_flag(out, "one fault alone", dam_bits_get(w1, AMDVI_DTE_SE));
    entry_flag(out, "faults off", dam_bits_get(w1, AMDVI_DTE_SA));
    number_if(out, "port access", dam_bits_get(w1, AMDVI_DTE_IOCTL));
    entry_flag(out, "cache hint", dam_bits_get(w1, AMDVI_DTE_CACHE));
    entry_flag(out, "no snooping", dam_bits_get(w1, AMDVI_DTE_SD));
    entry_flag(out, "exclusion range open", dam_bits_get(w1, AMDVI_DTE_EX));
    number_if(out, "system management", dam_bits_get(w1, AMDVI_DTE_SYSMGT));
    number_if(out, "memory type", dam_bits_get(dte->w[3], AMDVI_DTE_SNOOP));
}

static void interrupt_fields(const struct amdvi_dte *dte, struct entry_fields *out)
{
    static const char *const control[] = {"interrupts refused", "interrupts as they are",
                                          "interrupts remapped", "interrupts: reserved"};
    const uint64_t w = dte->w[2];
    bool valid = dam_bits_get(w, AMDVI_DTE_IV);
    entry_flag(out, "interrupt table valid", valid);
    if (!valid)
        return;
    entry_word(out, "interrupts", control[dam_bits_get(w, AMDVI_DTE_INTCTL)]);
    entry_address(out, "interrupt table", w & dam_bits_mask(AMDVI_DTE_INTTABLE));
    entry_number(out, "interrupt entries", 1ull << dam_bits_get(w, AMDVI_DTE_INTTABLEN));
    entry_flag(out, "unmapped interrupts ignored", dam_bits_get(w, AMDVI_DTE_IG));
    entry_flag(out, "INIT passes", dam_bits_get(w, AMDVI_DTE_INIT));
    entry_flag(out, "ExtInt passes", dam_bits_get(w, AMDVI_DTE_EXTINT));
    entry_flag(out, "NMI passes", dam_bits_get(w, AMDVI_DTE_NMI));
    entry_flag(out, "LINT0 passes", dam_bits_get(w, AMDVI_DTE_LINT0));
    entry_flag(out, "LINT1 passes", dam_bits_get(w, AMDVI_DTE_LINT1));
}

static void dte_fields(const uint64_t *raw, struct entry_fields *out)
{
    struct amdvi_dte dte = {{raw[0], raw[1], raw[2], raw[3]}};
    entry_flag(out, "valid", dam_bits_get(raw[0], AMDVI_DTE_V));
    entry_flag(out, "translation valid", dam_bits_get(raw[0], AMDVI_DTE_TV));
    entry_word(out, "type", type_of(&dte));
    if (amdvi_dte_kind(&dte) == AMDVI_DTE_OPEN)
        return;
    host_fields(&dte, out);
    guest_fields(&dte, out);
    request_fields(&dte, out);
    interrupt_fields(&dte, out);
}

static void gcr3_fields(uint64_t raw, const char *leads_to, struct entry_fields *out)
{
    entry_flag(out, "present", dam_bits_get(raw, AMDVI_GCR3_V));
    entry_address(out, leads_to, raw & dam_bits_mask(AMDVI_GCR3_ADDRESS));
}

void amdvi_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                       struct entry_fields *out)
{
    (void)r;
    out->count = 0;
    if (step->words == AMDVI_DTE_WORDS)
        dte_fields(step->raw, out);
    else
        gcr3_fields(step->raw[0], "GCR3 table", out);
}

void amdvi_entry_fields(const struct inspect_requester *r, struct entry_fields *out)
{
    out->count = 0;
    if (r->words == AMDVI_DTE_WORDS)
        dte_fields(r->raw, out);
    else if (r->words == 1)
        gcr3_fields(r->raw[0], "guest table", out);
}

const char *amdvi_entry_name(const struct inspect_requester *r)
{
    return r->words == 1 ? "GCR3 table entry" : "device table entry";
}
