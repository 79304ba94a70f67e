/* SPDX-License-Identifier: Apache-2.0 */
/* A picture: a cairo image with a white background.
 *
 * Text: cairo's toy fonts are enough for labels. A cairo context stops working for good when it is
 * given bytes that are not UTF-8, and job and function names may be anything, so text is checked
 * first. Where no font is installed cairo draws with a font of its own that has ASCII only; this is
 * detected by comparing the widths of two characters that differ in any real font, and the few
 * non-ASCII characters that we use have ASCII replacements.
 *
 * Saving: the image is written to a new file beside the target and then renamed, so that a full
 * disk neither leaves a partial picture nor destroys an old one. */
#include "plot/canvas.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

lithops__rgb lithops__group_color(size_t index)
{
    static const lithops__rgb colors[] = {0x3D7DB8, 0xE8912D, 0x3F9E6E, 0x8B66B5,
                                          0x38AEBF, 0xA89A2C, 0x9A6A48, 0x5561C4,
                                          0x7FA83B, 0xC97FB0, 0x5B8C8C, 0x7D7D8F};
    return colors[index % (sizeof colors / sizeof colors[0])];
}

void lithops__set_color(struct lithops__canvas *canvas, lithops__rgb color)
{
    cairo_set_source_rgb(canvas->cr, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0,
                         (color & 255) / 255.0);
}

static double width_of(struct lithops__canvas *canvas, const char *text)
{
    cairo_text_extents_t extents;
    cairo_text_extents(canvas->cr, text, &extents);
    return extents.x_advance;
}

/* Without a configuration, fontconfig would complain on standard error and find no font. So cairo's
 * built-in font is chosen directly, by this name. */
static const char *font_family(void)
{
    bool configured = getenv("FONTCONFIG_FILE") || getenv("FONTCONFIG_PATH") ||
                      access("/etc/fonts/fonts.conf", R_OK) == 0;
    return configured ? "DejaVu Sans" : "@cairo:";
}

int lithops__canvas_init(struct lithops__canvas *canvas, double width_in, double height_in,
                         lithops_error *err)
{
    *canvas = (struct lithops__canvas){0};
    if (!(width_in >= 4 && width_in <= 100 && height_in >= 3 && height_in <= 100))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "a plot of %g x %g inches cannot be drawn; give a width from 4 to "
                             "100 and a height from 3 to 100",
                             width_in, height_in);
    canvas->width = round(width_in * LITHOPS__DOTS_PER_INCH);
    canvas->height = round(height_in * LITHOPS__DOTS_PER_INCH);
    canvas->surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)canvas->width, (int)canvas->height);
    canvas->cr = cairo_create(canvas->surface);
    if (cairo_status(canvas->cr) != CAIRO_STATUS_SUCCESS) {
        lithops__canvas_deinit(canvas);
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory for a plot of %g x %g inches",
                             width_in, height_in);
    }
    lithops__set_color(canvas, 0xFFFFFF);
    cairo_paint(canvas->cr);
    cairo_select_font_face(canvas->cr, font_family(), CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(canvas->cr, 40);
    canvas->ascii_only = width_of(canvas, "…") == width_of(canvas, "·");
    return 0;
}

void lithops__canvas_deinit(struct lithops__canvas *canvas)
{
    if (canvas->cr)
        cairo_destroy(canvas->cr);
    if (canvas->surface)
        cairo_surface_destroy(canvas->surface);
    *canvas = (struct lithops__canvas){0};
}

/* ---- shapes ---------------------------------------------------------------------------------- */

void lithops__fill_box(struct lithops__canvas *canvas, double x, double y, double width,
                       double height, lithops__rgb color)
{
    lithops__set_color(canvas, color);
    cairo_rectangle(canvas->cr, x, y, width, height);
    cairo_fill(canvas->cr);
}

void lithops__hairline(struct lithops__canvas *canvas, double x0, double y0, double x1, double y1,
                       lithops__rgb color)
{
    /* A line of one dot is sharp when it runs through the middle of dots. */
    lithops__set_color(canvas, color);
    cairo_set_line_width(canvas->cr, 1);
    cairo_move_to(canvas->cr, floor(x0) + 0.5, floor(y0) + 0.5);
    cairo_line_to(canvas->cr, floor(x1) + 0.5, floor(y1) + 0.5);
    cairo_stroke(canvas->cr);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* The length of the UTF-8 character at `s`, or 0 when there is none. */
static size_t character_length(const unsigned char *s)
{
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                               : 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0) || /* overlong, surrogate */
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] >= 0x90))
        return 0;
    return len;
}

static const char *ascii_for(const char *character, size_t len)
{
    static const char *const pairs[][2] = {
        {"…", "..."}, {"–", "-"}, {"·", "|"}, {"µ", "u"}, {"×", "x"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strlen(pairs[i][0]) == len && memcmp(pairs[i][0], character, len) == 0)
            return pairs[i][1];
    return "?";
}

struct clean_text {
    char text[256];
    size_t used;
};

static bool clean_append(struct clean_text *clean, const char *piece, size_t len)
{
    if (clean->used + len + 4 > sizeof clean->text) /* leaves room for an ellipsis */
        return false;
    memcpy(clean->text + clean->used, piece, len);
    clean->used += len;
    clean->text[clean->used] = '\0';
    return true;
}

/* What can be drawn of `text`: valid UTF-8 without control characters, cut to a line. */
static void clean(const struct lithops__canvas *canvas, const char *text, struct clean_text *ret)
{
    *ret = (struct clean_text){0};
    while (*text) {
        size_t len = character_length((const unsigned char *)text);
        const char *piece = text;
        size_t piece_len = len;
        if (len == 0 || (len == 1 && ((unsigned char)*text < 32 || *text == 127))) {
            piece = "?";
            piece_len = 1;
        } else if (len > 1 && canvas->ascii_only) {
            piece = ascii_for(text, len);
            piece_len = strlen(piece);
        }
        if (!clean_append(ret, piece, piece_len))
            break;
        text += len ? len : 1;
    }
}

static void use_font(struct lithops__canvas *canvas, const struct lithops__text_style *style)
{
    cairo_select_font_face(canvas->cr, font_family(), CAIRO_FONT_SLANT_NORMAL,
                           style->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(canvas->cr, style->size);
    lithops__set_color(canvas, style->color);
}

static void shorten(struct lithops__canvas *canvas, struct clean_text *text, double max_width)
{
    if (width_of(canvas, text->text) <= max_width)
        return;
    const char *ellipsis = canvas->ascii_only ? "..." : "…";
    while (text->used) {
        do
            text->used--;
        while ((text->text[text->used] & 0xC0) == 0x80); /* back to the start of a character */
        memcpy(text->text + text->used, ellipsis, strlen(ellipsis) + 1);
        if (width_of(canvas, text->text) <= max_width)
            return;
    }
}

void lithops__draw_text(struct lithops__canvas *canvas, double x, double y, const char *text,
                        const struct lithops__text_style *style)
{
    struct clean_text line;
    clean(canvas, text, &line);
    use_font(canvas, style);
    if (style->max_width > 0)
        shorten(canvas, &line, style->max_width);
    x -= width_of(canvas, line.text) * style->align;
    cairo_move_to(canvas->cr, round(x), round(y));
    cairo_show_text(canvas->cr, line.text);
}

double lithops__text_width(struct lithops__canvas *canvas, const char *text,
                           const struct lithops__text_style *style)
{
    struct clean_text line;
    clean(canvas, text, &line);
    use_font(canvas, style);
    return width_of(canvas, line.text);
}

/* ---- saving ---------------------------------------------------------------------------------- */

struct output {
    int fd, os_errno;
};

static cairo_status_t write_all(void *closure, const unsigned char *data, unsigned len)
{
    struct output *out = closure;
    while (len) {
        ssize_t written = write(out->fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            out->os_errno = errno;
            return CAIRO_STATUS_WRITE_ERROR;
        }
        data += written;
        len -= (unsigned)written;
    }
    return CAIRO_STATUS_SUCCESS;
}

/* A new file beside `path`; its name is stored in `temporary`. mkstemp() would make it readable
 * for its owner alone, against the umask of the program. */
static int create_beside(const char *path, char *temporary, size_t size)
{
    static _Atomic unsigned counter;
    int fd;
    do {
        int len = snprintf(temporary, size, "%s.%d-%u.part", path, (int)getpid(),
                           atomic_fetch_add(&counter, 1));
        if (len < 0 || (size_t)len >= size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EEXIST);
    return fd;
}

int lithops__canvas_save(struct lithops__canvas *canvas, const char *path, lithops_error *err)
{
    cairo_status_t drawn = cairo_status(canvas->cr);
    if (drawn != CAIRO_STATUS_SUCCESS)
        return lithops__fail(err, LITHOPS_EIO, "cannot draw '%s': %s", path,
                             cairo_status_to_string(drawn));
    char temporary[PATH_MAX];
    struct output out = {.fd = create_beside(path, temporary, sizeof temporary)};
    if (out.fd < 0)
        return lithops__fail_errno(err, errno, "cannot write '%s'", path);
    cairo_status_t written = cairo_surface_write_to_png_stream(canvas->surface, write_all, &out);
    if (close(out.fd) != 0 && !out.os_errno)
        out.os_errno = errno; /* a full disk may show only here */
    if (written == CAIRO_STATUS_SUCCESS && !out.os_errno && rename(temporary, path) == 0)
        return 0;
    int os_errno = out.os_errno ? out.os_errno : written == CAIRO_STATUS_NO_MEMORY ? ENOMEM : errno;
    unlink(temporary);
    return lithops__fail_errno(err, os_errno, "cannot write '%s'", path);
}
