// SPDX-License-Identifier: MIT
// The PCI functions that Linux knew: pci_root_buses is a list of struct pci_bus; each has a list of its
// functions and one of the buses below it (include/linux/pci.h). The segment is in struct pci_sysdata
// (arch/x86/include/asm/pci.h).
#include <string.h>

#include "inspect/kernel_parts.h"

#define MAX_FUNCTIONS 65536u
#define MAX_BUSES     65536u
#define MAX_DEPTH     256u // buses below buses; a segment has no more

enum {
    BUS_NODE,
    BUS_CHILDREN,
    BUS_DEVICES,
    BUS_NUMBER,
    BUS_SYSDATA,
    SYSDATA_DOMAIN,
    DEV_BUS_LIST,
    DEV_DEVFN,
    DEV_VENDOR,
    DEV_DEVICE,
    DEV_CLASS,
    DEV_DRIVER,
    DRIVER_NAME,
    FIELDS,
};

static const struct kernel_field FIELD[FIELDS] = {
    [BUS_NODE] = {"pci_bus", "node", 0, 0},          [BUS_CHILDREN] = {"pci_bus", "children", 0, 0},
    [BUS_DEVICES] = {"pci_bus", "devices", 0, 0},    [BUS_NUMBER] = {"pci_bus", "number", 0, 0},
    [BUS_SYSDATA] = {"pci_bus", "sysdata", 0, 0},    [SYSDATA_DOMAIN] = {"pci_sysdata", "domain", 0, 0},
    [DEV_BUS_LIST] = {"pci_dev", "bus_list", 0, 0},  [DEV_DEVFN] = {"pci_dev", "devfn", 0, 0},
    [DEV_VENDOR] = {"pci_dev", "vendor", 0, 0},      [DEV_DEVICE] = {"pci_dev", "device", 0, 0},
    [DEV_CLASS] = {"pci_dev", "class", 0, 0},        [DEV_DRIVER] = {"pci_dev", "dev.driver", 0, 0},
    [DRIVER_NAME] = {"device_driver", "name", 0, 0},
};

struct reader {
    const struct kernel *k;
    struct kernel_field field[FIELDS];
    struct kernel_array functions;
    struct kernel_list buses[MAX_DEPTH]; // lists of buses, each one's below an entry of the one before
    unsigned depth;
    unsigned bus_count, entries; // of all lists, whether they could be read or not
    enum tool_status status;     // the first thing that went wrong
    struct tool_error *error;
};

static enum tool_status get(const struct reader *r, unsigned field, uint64_t va, uint64_t *value,
                            struct tool_error *error)
{
    return field_read(r->k, &r->field[field], va, value, error);
}

static void note(struct reader *r, enum tool_status status, const struct tool_error *text)
{
    r->status = first_error(r->status, status, text, r->error);
}

static void read_driver(const struct reader *r, uint64_t dev, struct kernel_function *f)
{
    struct tool_error ignored;
    uint64_t driver, name;
    enum tool_status status = get(r, DEV_DRIVER, dev, &driver, &ignored);
    if (status == TOOL_OK && driver == 0)
        return;
    if (status == TOOL_OK)
        status = get(r, DRIVER_NAME, driver, &name, &ignored);
    if (status != TOOL_OK || !kernel_string(r->k, name, f->driver, sizeof f->driver))
        memcpy(f->driver, "?", 2);
}

static enum tool_status read_function(const struct reader *r, uint64_t dev, uint64_t domain, uint64_t bus,
                                      struct kernel_function *f, struct tool_error *error)
{
    static const unsigned wanted[] = {DEV_DEVFN, DEV_VENDOR, DEV_DEVICE, DEV_CLASS};
    uint64_t value[4];
    for (unsigned i = 0; i < 4; i++) {
        enum tool_status status = get(r, wanted[i], dev, &value[i], error);
        if (status != TOOL_OK)
            return status;
    }
    if (value[0] > 0xFF)
        return tool_fail(error, TOOL_BAD_INPUT, "a PCI function with devfn 0x%llx on bus %02llx cannot be",
                         (unsigned long long)value[0], (unsigned long long)bus);
    *f = (struct kernel_function){
        .segment = (uint16_t)domain,
        .rid = (uint16_t)(bus << 8 | value[0]),
        .vendor = (uint16_t)value[1],
        .device = (uint16_t)value[2],
        .class_code = (uint32_t)value[3] & 0xFFFFFF,
    };
    read_driver(r, dev, f);
    return TOOL_OK;
}

static void read_functions(struct reader *r, uint64_t head, uint64_t domain, uint64_t bus)
{
    struct kernel_list list;
    struct tool_error error;
    enum tool_status status;
    uint64_t node;
    list_begin(r->k, "a list of PCI functions", head, MAX_FUNCTIONS - r->entries, &list);
    while (list_next(&list, &node, &status, &error)) {
        struct kernel_function f;
        struct tool_error function_error;
        r->entries++;
        enum tool_status result =
            read_function(r, node - r->field[DEV_BUS_LIST].offset, domain, bus, &f, &function_error);
        note(r, result, &function_error);
        if (result != TOOL_OK)
            continue;
        struct kernel_function *added = array_add(&r->functions, sizeof f);
        if (added == NULL) {
            status = tool_fail(&error, TOOL_SYSTEM, "out of memory");
            break;
        }
        *added = f;
    }
    note(r, status, &error);
}

// Functions of segments from 10000h up are behind a VMD device, and do their DMA as that device.
static enum tool_status read_bus(struct reader *r, uint64_t bus, struct tool_error *error)
{
    uint64_t sysdata, domain, number;
    enum tool_status status = get(r, BUS_SYSDATA, bus, &sysdata, error);
    if (status == TOOL_OK)
        status = get(r, SYSDATA_DOMAIN, sysdata, &domain, error);
    if (status == TOOL_OK)
        status = get(r, BUS_NUMBER, bus, &number, error);
    if (status == TOOL_OK && domain <= 0xFFFF)
        read_functions(r, bus + r->field[BUS_DEVICES].offset, domain, number);
    return status;
}

static void push(struct reader *r, const char *what, uint64_t head)
{
    list_begin(r->k, what, head, MAX_BUSES - r->bus_count, &r->buses[r->depth++]);
}

static void read_buses(struct reader *r)
{
    while (r->depth > 0) {
        struct tool_error error;
        enum tool_status status;
        uint64_t node;
        if (!list_next(&r->buses[r->depth - 1], &node, &status, &error)) {
            note(r, status, &error);
            r->depth--;
            continue;
        }
        uint64_t bus = node - r->field[BUS_NODE].offset;
        note(r, read_bus(r, bus, &error), &error);
        if (++r->bus_count == MAX_BUSES || r->depth == MAX_DEPTH) {
            note(r, tool_fail(&error, TOOL_BAD_INPUT, "the PCI buses have no end"), &error);
            return;
        }
        push(r, "a list of PCI buses", bus + r->field[BUS_CHILDREN].offset);
    }
}

enum tool_status kernel_functions(const struct kernel *k, struct kernel_function **out, size_t *count,
                                  struct tool_error *error)
{
    struct reader r = {.k = k, .error = error};
    uint64_t head;
    *out = NULL;
    *count = 0;
    memcpy(r.field, FIELD, sizeof r.field);
    enum tool_status status = symbol_find(k, "pci_root_buses", &head, error);
    if (status == TOOL_OK)
        status = fields_find(k, r.field, FIELDS, error);
    if (status != TOOL_OK)
        return status;
    push(&r, "the list pci_root_buses", head);
    read_buses(&r);
    *out = r.functions.at;
    *count = r.functions.count;
    return r.status;
}
