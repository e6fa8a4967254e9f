// SPDX-License-Identifier: MIT
#include "inspect/pci_names.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pci/pci.h>

#include "json.h"

struct pci_names {
    struct pci_access *access;
    bool broken; // the list cannot be read; asked no more
};

// ---- the library's errors ---------------------------------------------------------------------------------
// It calls error() for a damaged list or when memory ran out, and that must not return.
static jmp_buf escape;

static __attribute__((noreturn)) void on_error(char *format, ...)
{
    (void)format;
    longjmp(escape, 1);
}

static void on_text(char *format, ...)
{
    (void)format;
}

struct pci_names *pci_names_open(const char *path)
{
    struct pci_names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return NULL;
    names->access = pci_alloc();
    names->access->error = on_error;
    names->access->warning = on_text;
    names->access->debug = on_text;
    names->access->id_lookup_mode = 0; // neither the network nor what was kept of it
    if (path != NULL) {
        char *copy = strdup(path);
        if (copy != NULL)
            pci_set_name_list_path(names->access, copy, 1);
    }
    return names;
}

void pci_names_close(struct pci_names *names)
{
    if (names == NULL)
        return;
    pci_cleanup(names->access);
    free(names);
}

// ---- one name ---------------------------------------------------------------------------------------------
static void copy_clean(char *out, size_t size, const char *in, size_t in_size)
{
    size_t n = 0;
    for (; n < size - 1 && n < in_size && in[n] != '\0'; n++) {
        unsigned char c = (unsigned char)in[n];
        out[n] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    out[n] = '\0';
}

// out is "" when the list has no such name.
static void look_up(struct pci_names *names, int what, unsigned first, unsigned second, char *out,
                    size_t size)
{
    char text[512];
    out[0] = '\0';
    if (names == NULL || names->broken)
        return;
    if (setjmp(escape) != 0) {
        names->broken = true;
        return;
    }
    const char *found =
        pci_lookup_name(names->access, text, (int)sizeof text,
                        what | PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB, (int)first, (int)second);
    if (found != NULL)
        copy_clean(out, size, found, sizeof text);
}

// PCI Code and ID Assignment Specification, 1.1: base classes, by number.
static const char *base_class(unsigned base)
{
    static const char *const words[] = {"unclassified device",
                                        "storage controller",
                                        "network controller",
                                        "display controller",
                                        "multimedia controller",
                                        "memory controller",
                                        "bridge",
                                        "communication controller",
                                        "system peripheral",
                                        "input device controller",
                                        "docking station",
                                        "processor",
                                        "serial bus controller",
                                        "wireless controller",
                                        "intelligent I/O",
                                        "satellite controller",
                                        "encryption controller",
                                        "signal processor",
                                        "processing accelerator"};
    return base < sizeof words / sizeof words[0] ? words[base] : "";
}

void pci_name_of(struct pci_names *names, const struct inspect_device *device, struct pci_name *out)
{
    memset(out, 0, sizeof *out);
    rid_text(device->segment, device->rid, out->address);
    copy_clean(out->driver, sizeof out->driver, device->driver, sizeof device->driver);
    if (!device->known)
        return;
    snprintf(out->ids, sizeof out->ids, "%04x:%04x", device->vendor, device->device);
    look_up(names, PCI_LOOKUP_VENDOR, device->vendor, 0, out->vendor, sizeof out->vendor);
    look_up(names, PCI_LOOKUP_DEVICE, device->vendor, device->device, out->product, sizeof out->product);
    look_up(names, PCI_LOOKUP_CLASS, device->class_code >> 8 & 0xFFFF, 0, out->class, sizeof out->class);
    if (out->vendor[0] == '\0')
        snprintf(out->vendor, sizeof out->vendor, "vendor %04x", device->vendor);
    if (out->product[0] == '\0')
        snprintf(out->product, sizeof out->product, "device %04x", device->device);
    if (out->class[0] == '\0')
        snprintf(out->class, sizeof out->class, "%s", base_class(device->class_code >> 16 & 0xFF));
}

void pci_name_put(const struct pci_name *name, struct json_object *out)
{
    json_put_text(out, "class", name->class);
    json_put_text(out, "vendor", name->vendor);
    json_put_text(out, "product", name->product);
    json_put_text(out, "ids", name->ids);
    json_put_text(out, "driver", name->driver);
}

void pci_name_line(const struct pci_name *name, char out[PCI_NAME_LINE])
{
    snprintf(out, PCI_NAME_LINE, "%s%s%s%s%s%s%s%s%s", name->class,
             name->class[0] != '\0' && name->vendor[0] != '\0' ? ": " : "", name->vendor,
             name->product[0] != '\0' ? " " : "", name->product,
             name->driver[0] != '\0' && name->vendor[0] != '\0' ? " " : "",
             name->driver[0] != '\0' ? "[" : "", name->driver, name->driver[0] != '\0' ? "]" : "");
}
