// SPDX-License-Identifier: MIT
#include <json-c/json.h>
#include <stdio.h>
#include <zlib.h>

#include "bootproto.h"
#include "cli.h"
#include "json.h"
#include "names.h"
#include "wrap.h"

static const char *version_text(const struct bzimage *image)
{
    return image->kernel_version[0] ? image->kernel_version : "(none in the header)";
}

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "NO";
}

static void print_kernel(const struct bzimage *image)
{
    printf("kernel         Linux %s\n", version_text(image));
    printf("boot protocol  %u.%02u, xloadflags %04Xh%s\n", image->version >> 8, image->version & 0xFF,
           image->xloadflags, image->xloadflags & XLF_5LEVEL ? "" : " (no XLF_5LEVEL)");
    printf("compression    %s\n", bzimage_compression(image));
    printf("in the file    %zu bytes, of which setup %u\n", image->size, image->setup_size);
    printf("memory needed  %u bytes, aligned to %u KiB\n", image->init_size, image->kernel_alignment >> 10);
}

static void print_wrapped(const struct wrapped_image *w)
{
    const struct dam_image_header *h = &w->header;
    printf("wrapped        yes, by cofferdam %s, image format %u\n", h->tool_version, h->version);
    printf("policy         %s\n", name_policy(h->default_policy));
    printf("stage          %llu bytes\n", (unsigned long long)h->stage_size);
    printf("pool           %llu KiB at +%llXh\n", (unsigned long long)h->pool_size >> 10,
           (unsigned long long)h->pool_offset);
    printf("memory needed  %u bytes, aligned to %u KiB\n", w->outer.init_size,
           w->outer.kernel_alignment >> 10);
    printf("checksum       of the image header %s\n", w->crc_ok ? "right" : "WRONG");
    printf("original       in one piece: %s; header derived from it: %s\n", yes_no(w->original_found),
           yes_no(w->outer_matches));
    printf("\nThe original inside, at +%llXh:\n", (unsigned long long)h->kernel_offset);
    if (w->original_found)
        print_kernel(&w->inner);
    else
        printf("kernel         Linux %s, as the image header tells\n", h->kernel_version);
}

static struct json_object *kernel_json(const struct bzimage *image)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, "version", image->kernel_version);
    json_put_text_f(o, "boot_protocol", "%u.%02u", image->version >> 8, image->version & 0xFF);
    json_put_hex(o, "xloadflags", image->xloadflags);
    json_put_text(o, "compression", bzimage_compression(image));
    json_put_number(o, "file_size", image->size);
    json_put_number(o, "setup_size", image->setup_size);
    json_put_number(o, "init_size", image->init_size);
    json_put_number(o, "kernel_alignment", image->kernel_alignment);
    json_put_hex(o, "pref_address", image->pref_address);
    json_put_hex(o, "crc32", crc32(crc32(0, NULL, 0), image->bytes, (uInt)image->size));
    return o;
}

static struct json_object *wrapped_json(const struct wrapped_image *w)
{
    const struct dam_image_header *h = &w->header;
    struct json_object *o = json_object_new_object();
    json_put_bool(o, "wrapped", true);
    json_put_number(o, "image_format", h->version);
    json_put_text(o, "tool_version", h->tool_version);
    json_put_text(o, "policy", name_policy(h->default_policy));
    json_put_number(o, "stage_size", h->stage_size);
    json_put_number(o, "pool_size", h->pool_size);
    json_put_hex(o, "pool_offset", h->pool_offset);
    json_put_hex(o, "kernel_offset", h->kernel_offset);
    json_put_number(o, "init_size", w->outer.init_size);
    json_put_bool(o, "checksum_ok", w->crc_ok);
    json_put_bool(o, "original_found", w->original_found);
    json_put_bool(o, "header_derived", w->outer_matches);
    json_put_text(o, "kernel_version", h->kernel_version);
    if (w->original_found)
        json_object_object_add(o, "original", kernel_json(&w->inner));
    return o;
}

static enum tool_status show(const struct tool_command *self, const char *path, bool json,
                             const uint8_t *bytes, size_t size)
{
    struct tool_error error;
    struct bzimage image;
    struct wrapped_image wrapped;
    enum tool_status status = bzimage_read(bytes, size, &image, &error);
    bool is_wrapped = status == TOOL_OK && wrap_is_wrapped(&image);
    if (is_wrapped)
        status = wrap_read(&image, &wrapped, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", path, error.text);
    if (json) {
        struct json_object *o = is_wrapped ? wrapped_json(&wrapped) : json_object_new_object();
        if (!is_wrapped) {
            json_put_bool(o, "wrapped", false);
            json_object_object_add(o, "kernel", kernel_json(&image));
        }
        json_print(o);
    } else if (is_wrapped) {
        print_wrapped(&wrapped);
    } else {
        printf("wrapped        no\n");
        print_kernel(&image);
    }
    bool damaged = is_wrapped && !(wrapped.crc_ok && wrapped.outer_matches);
    status = cli_finish(self, TOOL_OK);
    return damaged ? cli_error(self, TOOL_BAD_INPUT, "%s: the wrapped image is damaged", path) : status;
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    return cli_show_file(self, argc, argv, "IMAGE", BZIMAGE_MAX_SIZE, show);
}

const struct tool_command command_info = {
    .name = "info",
    .arguments = "IMAGE [--json]",
    .summary = "Tell what is inside a kernel image, wrapped or not",
    .help = "  -j, --json   as one JSON object\n"
            "  -h, --help   this text\n",
    .run = run,
};
