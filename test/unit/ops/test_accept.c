/* SPDX-License-Identifier: Apache-2.0 */
/* Accept headers as clients send them. */
#include "ops/accept.h"

#include "ops_test.h"

static const struct accept_offer offers[] = {
    { S_INIT("application/json"), S_INIT(""), S_INIT(""), S_INIT("") },
    { S_INIT("application/json"), S_INIT("APIGroupDiscoveryList"), S_INIT("apidiscovery.k8s.io"), S_INIT("v2") },
    { S_INIT("application/json"), S_INIT("APIGroupDiscoveryList"), S_INIT("apidiscovery.k8s.io"), S_INIT("v2beta1") },
};

#define V2 "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#define V2BETA1 "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

Test(accept, chooses_what_the_client_prefers)
{
    static const struct {
        const char *accept;
        int chosen;
    } table[] = {
        { "", 0 },
        { "  ", 0 },
        { "*/*", 0 },
        { "application/*", 0 },
        { "application/json", 0 },
        { "Application/JSON", 0 },
        { "application/json, */*", 0 },
        { V2, 1 },
        { V2 "," V2BETA1 ",application/json", 1 },
        { V2BETA1 "," V2, 2 },
        { "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,application/json", 0 },
        { V2 ";profile=nopeer," V2, 1 },
        { "application/json;as=APIGroupDiscoveryList;v=v2;g=\"apidiscovery.k8s.io\"", 1 },
        { "application/json;q=0.5," V2 ";q=0.9", 1 },
        { "application/json;q=0.9," V2 ";q=0.5", 0 },
        { "application/json;q=0", -1 },
        { "application/json;q=0.000, text/plain", -1 },
        { "application/vnd.kubernetes.protobuf", -1 },
        { "application/vnd.kubernetes.protobuf,application/json", 0 },
        { "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", -1 },
        { "text/*", -1 },
        { "json", -1 },
        { ";;,,;", -1 },
        { "application/json; charset=utf-8; q=0.1", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        cr_expect_eq(accept_choose(str_from(table[i].accept), offers, ARRAY_LEN(offers)), table[i].chosen, "%s",
                     table[i].accept);
}
