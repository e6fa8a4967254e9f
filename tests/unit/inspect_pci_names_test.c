// SPDX-License-Identifier: MIT
// Names of PCI functions: from a list, without one, from a damaged one, and with hostile strings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/pci_names.h"

static const struct inspect_device sata = {
    .rid = 0xFA, .known = true, .vendor = 0x8086, .device = 0x2922, .class_code = 0x010601, .driver = "ahci"};

static char list_path[] = "/tmp/cofferdam-pci.XXXXXX";

static struct pci_names *with_list(const char *text)
{
    strcpy(list_path + sizeof list_path - 7, "XXXXXX");
    int fd = mkstemp(list_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct pci_names *names = pci_names_open(list_path);
    assert_non_null(names);
    return names;
}

static void drop(struct pci_names *names)
{
    pci_names_close(names);
    unlink(list_path);
}

static void from_a_list(void **state)
{
    (void)state;
    struct pci_names *names = with_list("8086  Intel Corporation\n"
                                        "\t2922  82801IR SATA\n"
                                        "C 01  Mass storage controller\n"
                                        "\t06  SATA controller\n"
                                        "\t\t01  AHCI 1.0\n");
    struct pci_name name;
    pci_name_of(names, &sata, &name);
    assert_string_equal(name.address, "0000:00:1f.2");
    assert_string_equal(name.class, "SATA controller");
    assert_string_equal(name.vendor, "Intel Corporation");
    assert_string_equal(name.product, "82801IR SATA");
    assert_string_equal(name.ids, "8086:2922");
    assert_string_equal(name.driver, "ahci");
    char line[PCI_NAME_LINE];
    pci_name_line(&name, line);
    assert_string_equal(line, "SATA controller: Intel Corporation 82801IR SATA [ahci]");
    // A device that the list lacks, of a vendor that it has.
    struct inspect_device other = sata;
    other.device = 0x1234;
    other.driver[0] = '\0';
    other.segment = 0x1F;
    other.rid = 0xFFFF;
    pci_name_of(names, &other, &name);
    pci_name_line(&name, line);
    assert_string_equal(name.address, "001f:ff:1f.7");
    assert_string_equal(line, "SATA controller: Intel Corporation device 1234");
    drop(names);
}

static void without_a_list(void **state)
{
    (void)state;
    struct pci_names *names = pci_names_open("/nonexistent/pci.ids");
    struct pci_name name;
    char line[PCI_NAME_LINE];
    for (int i = 0; i < 2; i++) {
        pci_name_of(i == 0 ? names : NULL, &sata, &name);
        pci_name_line(&name, line);
        assert_string_equal(line, "storage controller: vendor 8086 device 2922 [ahci]");
    }
    struct inspect_device odd = sata;
    odd.class_code = 0xFFFFFFFF;
    pci_name_of(names, &odd, &name);
    assert_string_equal(name.class, "");
    pci_name_line(&name, line);
    assert_string_equal(line, "vendor 8086 device 2922 [ahci]");
    odd.class_code = 0x120000;
    pci_name_of(names, &odd, &name);
    assert_string_equal(name.class, "processing accelerator");
    odd.class_code = 0x130000;
    pci_name_of(names, &odd, &name);
    assert_string_equal(name.class, "");
    pci_names_close(names);
    pci_names_close(NULL);
}

static void unknown_function(void **state)
{
    (void)state;
    struct inspect_device device = sata;
    device.known = false;
    device.driver[0] = '\0';
    struct pci_name name;
    char line[PCI_NAME_LINE];
    pci_name_of(NULL, &device, &name);
    pci_name_line(&name, line);
    assert_string_equal(name.address, "0000:00:1f.2");
    assert_string_equal(name.ids, "");
    assert_string_equal(line, "");
    snprintf(device.driver, sizeof device.driver, "ahci");
    pci_name_of(NULL, &device, &name);
    pci_name_line(&name, line);
    assert_string_equal(line, "[ahci]");
}

// The library ends the program when its list is damaged; we go on, with numbers.
static void damaged_list(void **state)
{
    (void)state;
    struct pci_names *names = with_list("8086  Intel Corporation\n"
                                        "zzzz what is this\n");
    struct pci_name name;
    for (int i = 0; i < 2; i++) {
        pci_name_of(names, &sata, &name);
        assert_string_equal(name.vendor, "vendor 8086");
        assert_string_equal(name.product, "device 2922");
        assert_string_equal(name.class, "storage controller");
    }
    drop(names);
}

static void hostile_strings(void **state)
{
    (void)state;
    struct pci_names *names = with_list("8086  Int\033[31mel\xC3\xBC\n"
                                        "\t2922  \x01<script>\n");
    struct inspect_device device = sata;
    memset(device.driver, 'A', sizeof device.driver); // no end
    device.driver[0] = '\n';
    struct pci_name name;
    pci_name_of(names, &device, &name);
    assert_string_equal(name.vendor, "Int?[31mel??");
    assert_string_equal(name.product, "?<script>");
    assert_string_equal(name.driver, "?AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    drop(names);
    // A name that is longer than any field.
    char *text = malloc(3000);
    assert_non_null(text);
    memcpy(text, "8086  ", 6);
    memset(text + 6, 'x', 700);
    strcpy(text + 706, "\n\t2922  y\n");
    names = with_list(text);
    free(text);
    pci_name_of(names, &sata, &name);
    assert_true(strlen(name.vendor) < sizeof name.vendor);
    assert_string_equal(name.product, "y");
    drop(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_a_list),  cmocka_unit_test(without_a_list),  cmocka_unit_test(unknown_function),
        cmocka_unit_test(damaged_list), cmocka_unit_test(hostile_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
