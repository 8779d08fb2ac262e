/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of pg_hba.conf that PostgreSQL takes, and those it does not. */
#include "resources/postgrescluster/hba.h"

#include "base/strbuf.h"
#include "resources_test.h"

Test(hba, takes_rules_that_postgresql_takes)
{
    static const char *const good[] = {
        "local all all peer",
        "local all all trust",
        "host all all 0.0.0.0/0 scram-sha-256",
        "host all all ::/0 md5",
        "host all all ::1/128 reject",
        "host\tall\tall\t10.0.0.0/8\tscram-sha-256",
        "  host all all 10.0.0.0 255.0.0.0 md5",
        "host all all fe80:: ffff:: md5",
        "host app,report alice,+admins 192.168.1.0/24 scram-sha-256",
        "host app, report alice 192.168.1.0/24 scram-sha-256",
        "host \"my db\" \"Al \"\"x\"\"\" samenet password",
        "host all all samehost trust # from here",
        "host all all example.com md5",
        "host all all .example.com md5",
        "hostssl all all all cert map=certs",
        "hostssl all all all cert clientcert=verify-full",
        "hostssl all all all scram-sha-256 clientcert=verify-ca",
        "hostnossl all all all reject",
        "host all all all ldap ldapprefix=x",
        "hostgssenc all all all md5",
        "hostgssenc all all all gss include_realm=1 krb_realm=EXAMPLE.COM",
        "hostnogssenc all all all ident map=m",
        "host all all all ldap ldapserver=ldap.example.com ldapprefix=\"cn=\" ldapsuffix=\", dc=example\"",
        "host all all all ldap ldapurl=ldap://ldap.example.com/dc=example?uid?sub",
        "host all all all radius radiusservers=10.0.0.1 radiussecrets=s",
        "host all all all pam pamservice=postgresql",
        "host replication all 10.0.0.0/8 scram-sha-256",
        "local sameuser,samerole all peer map=x",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const char *wrong = hba_check_line(a, str_from(good[i]));
        cr_expect_null(wrong, "%s: %s", good[i], wrong);
    }
}

Test(hba, refuses_what_postgresql_would_refuse_and_says_why)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        { "", "there is no rule in it" },
        { "   ", "there is no rule in it" },
        { "# host all all all trust", "there is no rule in it" },
        { "hosts all all all trust", "it must begin with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc" },
        { "HOST all all all trust", "it must begin with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc" },
        { "host,local all all all trust", "a list stands where one word is expected" },
        { "host", "the line ends too early" },
        { "host all", "the line ends too early" },
        { "host all all", "the line ends too early" },
        { "host all all all", "the line ends too early" },
        { "local all all", "the line ends too early" },
        { "host all all 10.0.0.0/33 md5", "the address has a wrong CIDR mask" },
        { "host all all 10.0.0.0/ md5", "the address has a wrong CIDR mask" },
        { "host all all 10.0.0.0/-1 md5", "the address has a wrong CIDR mask" },
        { "host all all ::/129 md5", "the address has a wrong CIDR mask" },
        { "host all all example.com/24 md5", "a host name cannot have a mask, and the address is no IP address" },
        { "host all all 10.0.0.256/8 md5", "a host name cannot have a mask, and the address is no IP address" },
        { "host all all 10.0.0.0 md5", "an IP address needs a mask: 10.0.0.0/8, or 10.0.0.0 255.0.0.0" },
        { "host all all 10.0.0.0 ffff:: md5", "address and mask are of different IP versions" },
        { "host all all 10.0.0.0/8,11.0.0.0/8 md5", "a list stands where one word is expected" },
        { "host all all all scram",
          "the method must be one of trust, reject, md5, scram-sha-256, password, ident, peer, cert, gss, ldap, "
          "radius, pam" },
        { "host all all all peer", "peer works for local only" },
        { "local all all gss", "gss does not work for local" },
        { "host all all all cert", "cert needs hostssl" },
        { "host all all all md5 map", "an option must be name=value" },
        { "host all all all md5 map=x", "an option does not belong to this method" },
        { "host all all all md5 colour=red", "an option is unknown" },
        { "host all all all md5 clientcert=verify-ca", "clientcert and clientname need hostssl" },
        { "hostssl all all all md5 clientcert=1", "clientcert must be verify-ca or verify-full" },
        { "hostssl all all all cert clientcert=verify-ca", "clientcert must be verify-full with cert" },
        { "hostssl all all all cert clientname=ON", "clientname must be CN or DN" },
        { "host all all all ldap ldapserver=x", "ldap needs ldapbasedn, ldapprefix or ldapsuffix" },
        { "host all all all radius radiusservers=10.0.0.1", "radius needs radiusservers and radiussecrets" },
        { "host @dbs all all md5", "files cannot be included" },
        { "host all,@dbs all all md5", "files cannot be included" },
        { "include other.conf", "it must begin with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc" },
        { "host \"all all all md5", "a quote is not closed" },
        { "host a,,b all all md5", "an entry of a list is empty" },
        { "host all all all md5 \\", "a line cannot go on after a backslash" },
        { "host all all all md5\nhost all all all trust", "control characters and line breaks are not allowed" },
        { "host all, # all all md5", "a list ends with a comma" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *wrong = hba_check_line(a, str_from(bad[i].line));
        cr_expect_str_eq(wrong ? wrong : "(taken)", bad[i].why, "%s: %s", bad[i].line, wrong ? wrong : "(taken)");
    }
}

Test(hba, bounds_words_lists_and_fields)
{
    ARENA_AUTO(a);
    STRBUF_AUTO text = STRBUF_INIT(8192);
    strbuf_add(&text, S("host "));
    for (int i = 0; i < 256; i++)
        strbuf_add_char(&text, 'a');
    strbuf_add(&text, S(" all all md5"));
    cr_assert_str_eq(hba_check_line(a, strbuf_str(&text)), "a word is longer than 255 bytes");
    strbuf_reset(&text);
    strbuf_add(&text, S("host a"));
    for (int i = 0; i < 64; i++)
        strbuf_add(&text, S(",a"));
    strbuf_add(&text, S(" all all md5"));
    cr_assert_str_eq(hba_check_line(a, strbuf_str(&text)), "a list has more than 64 entries");
    strbuf_reset(&text);
    strbuf_add(&text, S("host all all all ldap"));
    for (int i = 0; i < 40; i++)
        strbuf_add(&text, S(" ldaptls=1"));
    cr_assert_str_eq(hba_check_line(a, strbuf_str(&text)), "there are more than 32 fields");
}
