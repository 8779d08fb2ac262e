/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster's life as the whole manager leads it: creation, scaling, pause, deletion, restart of the server. */
#include "manager_bed.h"

Test(manager, creates_a_cluster_of_three_and_admits_its_members)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"postgresVersion\":15}");
    struct record r = bed_record(&b);
    cr_assert_eq(r.term, 1);
    cr_assert_eq(r.member_count, 3);
    cr_assert_eq(r.instance_count, 3);
    cr_assert(r.is_initialized);
    CHECK_STR(r.primary, "pg-1");
    CHECK_STR(r.system_identifier, "7000000000000000001");
    CHECK_STR(bed_status(&b, "currentPrimary"), "pg-1");
    cr_assert_eq(json_int_at(bed_cluster(&b), "status.readyInstances", 0), 3);
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-1");
    cr_assert_eq(json_count(json_at(bed_cluster(&b), "metadata.finalizers")), 1);
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 3);
    BED_WAIT(&b, bed_has_event(&b, "Running", "3 of 3"));
    cr_assert(fake_fleet_write(b.fleet));
    cr_assert_eq(fake_fleet_violations(b.fleet), 0);
    bed_end(&b);
}
