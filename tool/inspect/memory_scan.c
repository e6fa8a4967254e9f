// SPDX-License-Identifier: MIT
// VMCOREINFO in dumps whose writer did not know of it: raw images, and QEMU's dump-guest-memory of a machine
// without the vmcoreinfo device. The kernel keeps the text in a page of its own (kernel/crash_core.c,
// vmcoreinfo_data), and once more behind the header of an ELF note (vmcoreinfo_note); both begin at the
// start of a page.
#include "inspect/memory_file.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/progress.h"

// So many pages are looked at and no more; of 64 GiB that takes about a minute.
#define MAX_PAGES   (1u << 24)
#define NOTE_HEADER 24u // of the note: three words, "VMCOREINFO", padding
#define STEP        4096u

static bool has_line(const char *text, size_t size, const char *begins)
{
    size_t length = strlen(begins);
    for (const char *line = text; line != NULL && (size_t)(line - text) + length <= size;) {
        if (memcmp(line, begins, length) == 0)
            return true;
        line = memchr(line, '\n', size - (size_t)(line - text));
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

// How much of the bytes is VMCOREINFO; 0: none of it is.
static size_t measure(const char *text, size_t room)
{
    static const char first[] = "OSRELEASE=";
    size_t size = 0;
    if (room < sizeof first || memcmp(text, first, sizeof first - 1) != 0)
        return 0;
    for (; size < room && text[size] != '\0'; size++)
        if (text[size] != '\n' && (text[size] < 0x20 || text[size] > 0x7E))
            return 0;
    return has_line(text, size, "PAGESIZE=4096\n") && has_line(text, size, "SYMBOL(") ? size : 0;
}

// The same for a page, where it may stand behind a note's header.
static size_t measure_page(const uint8_t *page, const char **text)
{
    static const char name[12] = "VMCOREINFO";
    size_t room = DAM_PAGE_SIZE;
    *text = (const char *)page;
    if (get_le32(page) == sizeof "VMCOREINFO" && memcmp(page + 12, name, sizeof name) == 0) {
        uint32_t said = get_le32(page + 4);
        room -= NOTE_HEADER;
        room = said < room ? said : room;
        *text += NOTE_HEADER;
    }
    return measure(*text, room);
}

// A kernel that crashed adds when it did. Without such a line the text may be that of another kernel: the
// one that the machine ran before, or the one that was to take the dump.
static bool is_of_a_crash(const char *text, size_t size)
{
    return has_line(text, size, "CRASHTIME=");
}

char *memory_scan_vmcoreinfo(struct memory *memory, size_t *size)
{
    char *best = NULL;
    uint64_t start = 0, end, pages = 0;
    uint64_t total = memory_about(memory)->held / DAM_PAGE_SIZE;
    progress_begin("looking for VMCOREINFO", total < MAX_PAGES ? total : MAX_PAGES);
    for (; memory_next_held(memory, &start, &end); start = end) {
        for (uint64_t pa = start; pa < end && pages < MAX_PAGES; pa += DAM_PAGE_SIZE, pages++) {
            uint8_t page[DAM_PAGE_SIZE];
            const char *text;
            if (pages % STEP == 0) {
                progress_step(pages);
                if (progress_interrupted())
                    goto done;
            }
            if (memory_read(memory, dam_pa_of(pa), page, sizeof page) != DAM_OK)
                continue;
            size_t length = measure_page(page, &text);
            bool better = length > 0 && is_of_a_crash(text, length);
            if (length == 0 || (best != NULL && !better))
                continue;
            char *copy = malloc(length);
            if (copy == NULL)
                goto done;
            memcpy(copy, text, length);
            free(best);
            best = copy;
            *size = length;
            if (better)
                goto done;
        }
        if (pages == MAX_PAGES)
            break;
    }
done:
    progress_end();
    return best;
}
