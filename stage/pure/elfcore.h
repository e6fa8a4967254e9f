// SPDX-License-Identifier: MIT
// The ELF core headers that the old kernel or kexec-tools left for the capture kernel's /proc/vmcore, and our
// note added to them.
#ifndef STAGE_ELFCORE_H
#define STAGE_ELFCORE_H

#include <cofferdam/range.h>

#define ELF_HEADER_SIZE  64u
#define ELF_PROGRAM_SIZE 56u
// What stands around a note's descriptor: note header and padded name before it, padding and an empty note
// header behind it. Linux' /proc/vmcore reads notes until one has no name, so there must be one.
#define ELFCORE_NOTE_HEAD 24u
#define ELFCORE_NOTE_TAIL 16u

// Checks an ELF header (ELF_HEADER_SIZE bytes) for all that Linux and we rely on: 64-bit, little-endian, a
// core file, program headers right behind. DAM_E_SIGNATURE when it is none, DAM_E_LENGTH when a size or a
// count is wrong. *count is the number of program headers, at least 1.
DAM_MUST_CHECK dam_err elfcore_check(const uint8_t *header, uint32_t *count);

// Adds the physical ranges of all PT_LOADs to ram. headers holds the ELF header and count program headers.
// DAM_E_RANGE on a range that wraps or lies beyond 52 bits, DAM_E_NOMEM when ram is full.
DAM_MUST_CHECK dam_err elfcore_old_ram(const uint8_t *headers, uint32_t count, struct dam_ranges *ram);

// Adds one PT_NOTE for [pa, pa+size) behind the leading PT_NOTEs (Linux wants all of them in front) and
// counts it in the ELF header. headers has room for one program header more.
void elfcore_add_note(uint8_t *headers, uint32_t count, uint64_t pa, uint64_t size);

// Makes an ELF note of a descriptor of size bytes that already stands at buf + ELFCORE_NOTE_HEAD. buf has
// ELFCORE_NOTE_TAIL bytes of room behind it. Returns the size of the whole segment, ending note included.
size_t elfcore_wrap_note(uint8_t *buf, size_t size);

#endif
