/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the bytes are: reading them as certificates and keys neither crashes nor leaks, and what is said of a
 * certificate holds together. */
#include <stdlib.h>

#include "pki/pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct pki_certificate c;
    struct error e;
    str text = { (const char *)data, size };
    if (pki_parse(a, text, &c, &e) == 0) {
        if (c.fingerprint.len != 64 || (c.common_name.len && memchr(c.common_name.ptr, '\0', c.common_name.len)))
            abort();
        for (size_t i = 0; i < c.dns_count; i++)
            (void)pki_certificate_covers(&c, c.dns_names[i]);
        for (size_t i = 0; i < c.ip_count; i++)
            if (!pki_certificate_covers(&c, c.ip_addresses[i]))
                abort();
        (void)pki_certificate_covers(&c, S("a.example.io"));
    }
    if (pki_check_pair(text, text, &e) != 0 && e.text[0] == '\0')
        abort();
    arena_free(a);
    return 0;
}
