/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a platform leaves in an instance's folder for the agent to start with: `<data-dir>/agent.json`, mode 0600,
 * written atomically, read once at start. Everything else the leader says (agent/message.h).
 *
 *   { "instance": "pg-1", "cluster": "pg", "namespace": "default", "clusterUID": "…",
 *     "host": "127.77.0.1", "agentPort": 8432,
 *     "caPEM": "…", "certificatePEM": "…", "privateKeyPEM": "…",
 *     "postgresBin": "/usr/lib/postgresql/15/bin",   optional: where PostgreSQL's programs are
 *     "logMaxBytes": 8388608 }                       optional: a log is rotated at this size
 *
 * Files of an instance's folder that platforms rely on:
 *   lock        held (flock) by the agent for life, and by the postmaster, which inherits it: whoever gets it has the
 * proof that no process of the instance is left (rule 44). Never removed while the folder exists. agent.pid   process
 * id of the agent, while it runs. A second agent for the same folder refuses to start. agent.log   what the agent
 * prints; postgres.log what PostgreSQL prints; each with up to three older parts, NAME.1 the newest. pgdata/     the
 * data folder.
 *
 * The program: `postgres-agent --data-dir DIR [--foreground]`. Without --foreground it returns with 0 once it listens
 * (or with 1 and one line on standard error), detached: own session, standard descriptors closed, no child of its
 * caller.
 */
#ifndef AGENT_BOOTSTRAP_H
#define AGENT_BOOTSTRAP_H

#define AGENT_BOOTSTRAP_FILE "agent.json"
#define AGENT_LOCK_FILE "lock"
#define AGENT_PID_FILE "agent.pid"

#endif
