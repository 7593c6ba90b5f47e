-- Evidence of refused packets, recorded by ctdrop.
-- PRAGMA application_id is 0x43544452 ("CTDR"), PRAGMA user_version the version of this schema.
--
-- wall: milliseconds since 1970 UTC by the clock of the host, which somebody may set.
-- mono: milliseconds by CLOCK_MONOTONIC, which only runs forward, within one boot.
-- ORDER BY boot, mono gives the rows in order of time, whatever the clock of the host did.

-- One row: which program made the file.
CREATE TABLE meta (
    version INTEGER NOT NULL,      -- of this schema, as user_version
    made_by TEXT NOT NULL          -- version of ctdrop
);

-- Starts of the kernel, in order.
CREATE TABLE boots (
    boot    INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,  -- /proc/sys/kernel/random/boot_id
    host    TEXT NOT NULL,         -- name of the host
    kernel  TEXT NOT NULL,         -- as uname -r says
    facts   TEXT NOT NULL          -- JSON: distribution, processors, memory
);

-- Starts of ctdrop that record here.
CREATE TABLE runs (
    run        INTEGER PRIMARY KEY,
    boot       INTEGER NOT NULL REFERENCES boots,
    wall       INTEGER NOT NULL,   -- start
    mono       INTEGER NOT NULL,
    ended_wall INTEGER,            -- NULL: ctdrop still runs, or was killed
    ended_mono INTEGER,
    version    TEXT NOT NULL,      -- of ctdrop
    backend    TEXT,               -- NULL until ctdrop observes
    start      TEXT,               -- JSON: what the line "start" of watch -o json says
    losses     TEXT                -- JSON: what its numbers may lack, since its start
);

-- Network namespaces. Several can have the same inode number, one after the other.
CREATE TABLE namespaces (
    netns      INTEGER PRIMARY KEY,
    boot       INTEGER NOT NULL REFERENCES boots,
    inode      INTEGER NOT NULL,   -- 0: packets whose namespace is not known
    name       TEXT NOT NULL,      -- the last one
    is_host    INTEGER NOT NULL,
    wall       INTEGER NOT NULL,   -- first seen
    mono       INTEGER NOT NULL,
    ended_wall INTEGER,            -- seen to be gone
    ended_mono INTEGER
);

-- What was counted, interval by interval: 1 s long while something happens, else longer.
-- Old intervals are added up.
CREATE TABLE intervals (
    interval       INTEGER PRIMARY KEY,
    run            INTEGER NOT NULL REFERENCES runs,
    boot           INTEGER NOT NULL REFERENCES boots,
    wall           INTEGER NOT NULL, -- end
    mono           INTEGER NOT NULL, -- end
    length         INTEGER NOT NULL, -- milliseconds
    refused        INTEGER NOT NULL, -- packets, for whatever reason: the sum of drops
    at_least       INTEGER,          -- backend counters: bounds of refused
    at_most        INTEGER,
    evicted        INTEGER NOT NULL, -- entries
    clash_resolved INTEGER NOT NULL,
    non_packet     INTEGER NOT NULL,
    rule_or_refused INTEGER NOT NULL,
    unattributed   INTEGER NOT NULL, -- of refused: packets counted without a flow
    new_flows      INTEGER NOT NULL, -- flows refused for the first time in this run
    rest_flows     INTEGER NOT NULL, -- at least so many flows are missing in flows
    max            INTEGER,          -- limit for each namespace, at the end; 0: no limit
    buckets        INTEGER,
    armed          INTEGER NOT NULL
);
CREATE INDEX intervals_wall ON intervals (wall);
CREATE INDEX intervals_run ON intervals (run);

-- Refused packets, by namespace and reason. Packets that only counters show have inode 0 here.
-- With backend counters, tables has these by namespace; with another one its namespace is unknown.
CREATE TABLE drops (
    interval INTEGER NOT NULL REFERENCES intervals ON DELETE CASCADE,
    netns    INTEGER NOT NULL,     -- of namespaces
    reason   TEXT NOT NULL,
    packets  INTEGER NOT NULL,
    PRIMARY KEY (interval, netns, reason)
) WITHOUT ROWID;

-- Tables: entries, and what happened in each namespace.
CREATE TABLE tables (
    interval INTEGER NOT NULL REFERENCES intervals ON DELETE CASCADE,
    netns    INTEGER NOT NULL,     -- of namespaces
    entries  INTEGER,              -- at the end
    most     INTEGER,              -- the most that were seen
    refused  INTEGER NOT NULL,     -- packets, as far as the backend can tell
    evicted  INTEGER NOT NULL,
    PRIMARY KEY (interval, netns)
) WITHOUT ROWID;

-- The flows with the most packets. The packets of all others of an interval are
-- refused - unattributed - the sum of the packets here whose reason is not 'evicted'.
CREATE TABLE flows (
    interval   INTEGER NOT NULL REFERENCES intervals ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    netns      INTEGER NOT NULL,   -- of namespaces
    reason     TEXT NOT NULL,      -- 'evicted': an entry that was removed
    zone       INTEGER NOT NULL,
    protocol   TEXT NOT NULL,
    src        TEXT NOT NULL,
    sport      INTEGER NOT NULL,   -- of ICMP its id
    dst        TEXT NOT NULL,
    dport      INTEGER NOT NULL,   -- of ICMP type * 256 + code
    sender     TEXT,               -- JSON: the process of this host that sent it
    packets    INTEGER NOT NULL,   -- in this interval
    total      INTEGER NOT NULL,   -- since the start of the run, exact
    first_mono INTEGER NOT NULL,   -- the first and the last packet of this total
    last_mono  INTEGER NOT NULL,
    PRIMARY KEY (interval, position)
) WITHOUT ROWID;

-- Changes of the limit.
CREATE TABLE limits (
    boot    INTEGER NOT NULL REFERENCES boots,
    wall    INTEGER NOT NULL,
    mono    INTEGER NOT NULL,
    max_before     INTEGER NOT NULL,
    buckets_before INTEGER NOT NULL,
    max            INTEGER NOT NULL,
    buckets        INTEGER NOT NULL,
    made_by        TEXT            -- who changed it, if that is known
);
CREATE INDEX limits_wall ON limits (wall);

-- Which limit would be in force after each event, predicted from the files of the host.
CREATE TABLE survivals (
    boot      INTEGER NOT NULL REFERENCES boots,
    wall      INTEGER NOT NULL,
    mono      INTEGER NOT NULL,
    cause     TEXT NOT NULL,       -- why it was predicted: 'started', 'opened' (an incident),
                                   -- 'limit' (the limit changed), 'fix'
    max       INTEGER,             -- limit in force then
    buckets   INTEGER,
    boot_max    INTEGER,           -- after a boot; NULL: not known
    restart_max INTEGER,           -- after a restart of a firewall service, the worst of them
    reload_max  INTEGER,           -- after the module is unloaded and loaded again
    body      TEXT NOT NULL        -- JSON: what decides each, and why it may be wrong
);
CREATE INDEX survivals_wall ON survivals (wall);

-- What happened to ctdrop, the module and namespaces: see docs/json.md, "type": "event".
CREATE TABLE events (
    boot   INTEGER NOT NULL REFERENCES boots,
    wall   INTEGER NOT NULL,
    mono   INTEGER NOT NULL,
    event  TEXT NOT NULL,
    detail TEXT                    -- the namespace, and its new name; of 'filling' the
                                   -- forecast in words
);
CREATE INDEX events_wall ON events (wall);

-- Lines of the kernel log about conntrack. mono is the clock of the log here.
CREATE TABLE log_lines (
    boot INTEGER NOT NULL REFERENCES boots,
    wall INTEGER NOT NULL,
    mono INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX log_lines_wall ON log_lines (wall);

-- What --fix did.
CREATE TABLE fixes (
    boot   INTEGER NOT NULL REFERENCES boots,
    wall   INTEGER NOT NULL,
    mono   INTEGER NOT NULL,
    action TEXT NOT NULL,
    body   TEXT NOT NULL           -- JSON: the line "fix" of ctdrop watch -o json; text: what
                                   -- it prints
);
CREATE INDEX fixes_wall ON fixes (wall);

-- Periods with missing or less detailed evidence.
CREATE TABLE gaps (
    boot      INTEGER NOT NULL REFERENCES boots, -- the end
    wall      INTEGER NOT NULL,
    mono      INTEGER NOT NULL,
    from_boot INTEGER NOT NULL REFERENCES boots,
    from_wall INTEGER NOT NULL,
    from_mono INTEGER NOT NULL,
    why       TEXT NOT NULL,       -- 'stopped', 'killed', 'reboot': ctdrop did not run;
                                   -- 'not_written': intervals were added up in memory
    lost      INTEGER NOT NULL,    -- rows that had no room in memory; if the file was damaged,
                                   -- removed or replaced, also intervals not yet written
    detail    TEXT                 -- the error
);
CREATE INDEX gaps_wall ON gaps (wall);

-- Incidents: each is about one table, and lasts until that is quiet for 5 minutes.
CREATE TABLE incidents (
    incident    INTEGER PRIMARY KEY,
    boot        INTEGER NOT NULL REFERENCES boots,
    netns       INTEGER NOT NULL REFERENCES namespaces,
    wall        INTEGER NOT NULL,  -- opened
    mono        INTEGER NOT NULL,
    last_wall   INTEGER NOT NULL,  -- the last refused packet or full table
    last_mono   INTEGER NOT NULL,
    closed_wall INTEGER,           -- NULL: the incident is open
    closed_mono INTEGER,
    closed_by   TEXT,              -- 'quiet', 'netns_gone', 'stopped', 'killed', 'reboot'
    refused     INTEGER NOT NULL,  -- packets, since it was opened
    drops       TEXT NOT NULL,     -- JSON: the same by reason
    flows       INTEGER NOT NULL,  -- flows refused for the first time, on the whole host
    entries     INTEGER,           -- the most
    max         INTEGER,           -- the limit, at the last revision
    kind        TEXT NOT NULL,     -- docs/incidents.md
    confidence  TEXT NOT NULL,
    culprit     TEXT,              -- the first one, in words
    body        TEXT NOT NULL      -- JSON: the incident, as docs/incidents.md has it
);
CREATE INDEX incidents_wall ON incidents (wall);

-- Who was in the table.
CREATE TABLE censuses (
    census       INTEGER PRIMARY KEY,
    incident     INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    boot         INTEGER NOT NULL REFERENCES boots,
    wall         INTEGER NOT NULL,
    mono         INTEGER NOT NULL,
    cause        TEXT NOT NULL,    -- 'opened', 'peak', 'doubled'
    entries      INTEGER NOT NULL,
    unreplied    INTEGER NOT NULL,
    established  INTEGER NOT NULL,
    idle         INTEGER NOT NULL, -- of established: no packet for an hour
    idle_unknown INTEGER NOT NULL,
    error_bound  INTEGER NOT NULL  -- by how much a count can be too low
);
CREATE INDEX censuses_incident ON censuses (incident);
CREATE INDEX censuses_wall ON censuses (wall);

-- Its rows with the most entries.
CREATE TABLE census_rows (
    census    INTEGER NOT NULL REFERENCES censuses ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    by        TEXT NOT NULL,       -- 'source', 'destination', 'service', 'owner'
    key       TEXT NOT NULL,
    owner     TEXT,                -- container, pod or namespace, if it is known
    entries   INTEGER NOT NULL,
    unreplied INTEGER NOT NULL,
    idle      INTEGER NOT NULL,
    PRIMARY KEY (census, position)
) WITHOUT ROWID;
