// SPDX-License-Identifier: MIT
// Names for PCI functions: vendor, device and class from the machine's pci.ids where it has one, and words
// for the base classes where not. Looks at no hardware and asks no network.
#ifndef TOOL_INSPECT_PCI_NAMES_H
#define TOOL_INSPECT_PCI_NAMES_H

#include <json-c/json.h>

#include "inspect/model.h"
#include "note_view.h"

struct pci_names; // pci_names.c

// path: of the list; NULL: where the machine keeps its own. A list that is missing or damaged is no error:
// numbers stand for names then. NULL: no memory. Free with pci_names_close(), which takes NULL.
struct pci_names *pci_names_open(const char *path);
void pci_names_close(struct pci_names *names);

// One function. All of it is printable ASCII, whatever the dump or the list holds. What nobody knows is "".
struct pci_name {
    char address[RID_TEXT]; // "0000:00:1f.2"
    char class[96];         // "SATA controller"
    char vendor[128];       // "Intel Corporation", or "vendor 8086"
    char product[128]; // "82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]", or "device 2922"
    char ids[12];      // "8086:2922"
    char driver[32];   // "ahci"
};
// names may be NULL: as without a list.
void pci_name_of(struct pci_names *names, const struct inspect_device *device, struct pci_name *out);

// Adds all but the address to an object: "class", "vendor", "product", "ids", "driver".
void pci_name_put(const struct pci_name *name, struct json_object *out);

#define PCI_NAME_LINE 448u
// What it is, in one line without the address: "SATA controller: Intel Corporation 82801IR … [ahci]". "" when
// nothing is known.
void pci_name_line(const struct pci_name *name, char out[PCI_NAME_LINE]);

#endif
