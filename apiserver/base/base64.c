/* SPDX-License-Identifier: Apache-2.0 */
/* Both alphabets of RFC 4648 through one encoder and one strict decoder. */
#include "base/base64.h"

#include "base/arena.h"

#define ALPHABET_START "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = ALPHABET_START "+/";
static const char url[] = ALPHABET_START "-_";

static str encode(struct arena *a, str data, const char *alphabet, bool has_padding)
{
    char *text = arena_alloc(a, (data.len / 3 + 1) * 4 + 1);
    size_t len = 0;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t n = data.len - i < 3 ? data.len - i : 3;
        unsigned group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < n ? (unsigned char)data.ptr[i + k] : 0u);
        for (size_t k = 0; k < 4; k++) {
            if (k <= n)
                text[len++] = alphabet[group >> (18 - 6 * k) & 63];
            else if (has_padding)
                text[len++] = '=';
        }
    }
    text[len] = '\0';
    return str_of(text, len);
}

static int value_of(char c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == alphabet[62])
        return 62;
    return c == alphabet[63] ? 63 : -1;
}

/* text without padding. */
static bool decode(struct arena *a, str text, const char *alphabet, str *ret_data)
{
    if (text.len % 4 == 1)
        return false;
    size_t len = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0);
    char *data = arena_alloc(a, len + 1);
    size_t used = 0;
    unsigned bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.ptr[i], alphabet);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            data[used++] = (char)(bits >> count & 0xff);
        }
    }
    /* Leftover bits that are not zero: two texts would mean the same bytes. */
    if (bits & ((1u << count) - 1))
        return false;
    *ret_data = str_of(data, used);
    return true;
}

str base64_encode(struct arena *a, str data)
{
    return encode(a, data, standard, true);
}

bool base64_decode(struct arena *a, str text, str *ret_data)
{
    if (text.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && str_has_suffix(text, S("=")); i++)
        text.len--;
    return decode(a, text, standard, ret_data);
}

str base64url_encode(struct arena *a, str data)
{
    return encode(a, data, url, false);
}

bool base64url_decode(struct arena *a, str text, str *ret_data)
{
    return decode(a, text, url, ret_data);
}
