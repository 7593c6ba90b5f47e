//! An incident for the page: one client leaks connections until the table is full, and
//! `--fix` raises the limit.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use anyhow::Result;
use conntrack_user::store::{
    Store,
    incident::{Census, CensusRow, ClosedBy, Incident},
    interval::{Flow, FlowKey, Interval, Table},
    keep::Bounds,
    moment::Moment,
    record::{Boot, Event, Fix, Gap, LimitChange, LogLine, Namespace, Record, Run, Survival},
};
use serde_json::json;

/// When it begins, in milliseconds since 1970.
static BEGIN: OnceLock<i64> = OnceLock::new();

/// Seconds from the begin to the first refused packet, to the fix, and to the end.
const FULL: i64 = 420;
const FIXED: i64 = 900;
const END: i64 = 1500;

const LIMIT: u64 = 65_536;

fn at(second: i64) -> Moment {
    Moment {
        boot: 1,
        wall: BEGIN.get().copied().unwrap_or(0) + second * 1000,
        mono: (1000 + second) * 1000,
    }
}

/// Packets refused in a second, by reason.
fn refused(second: i64) -> (u64, u64) {
    if !(FULL..FIXED).contains(&second) {
        return (0, 0);
    }
    let wave = u64::try_from((second * 37) % 210).unwrap_or(0);
    let grown = u64::try_from(second - FULL).unwrap_or(0);
    (120 + grown * 2 + wave, if second % 9 == 0 { 3 } else { 0 })
}

fn entries(second: i64) -> u64 {
    let second = second.unsigned_abs();
    let full = FULL.unsigned_abs();
    if second < full {
        21_000 + (LIMIT - 21_000) * second / full
    } else if second < FIXED.unsigned_abs() {
        LIMIT
    } else {
        LIMIT + (second - FIXED.unsigned_abs()) * 45
    }
}

fn interval(second: i64) -> Interval {
    let (full, clash) = refused(second);
    let table = Table {
        entries: Some(entries(second)),
        most: Some(entries(second)),
        refused: full + clash,
        evicted: 0,
    };
    let drops = [("table_full", full), ("clash", clash)];
    let drops = drops.into_iter().filter(|(_, packets)| *packets > 0);
    Interval {
        at: at(second),
        length: 1000,
        refused: full + clash,
        new_flows: (full + clash) / 3,
        unattributed: if second == FULL { 7 } else { 0 },
        limit: Some(if second < FIXED {
            (LIMIT, 16_384)
        } else {
            (4 * LIMIT, 65_536)
        }),
        armed: second >= FULL - 60,
        drops: drops
            .map(|(reason, packets)| ((1, reason.to_owned()), packets))
            .collect(),
        tables: BTreeMap::from([(1, table)]),
        flows: flows(second, full),
        ..Interval::default()
    }
}

fn flows(second: i64, full: u64) -> Vec<Flow> {
    if full == 0 {
        return Vec::new();
    }
    let sender = json!({"pid": 4711, "comm": "node_exporter", "unit": "node_exporter.service"});
    let flow = |place: u16| Flow {
        key: FlowKey {
            netns: 1,
            reason: "table_full".to_owned(),
            protocol: if place.is_multiple_of(3) {
                "udp"
            } else {
                "tcp"
            }
            .to_owned(),
            src: if place == 5 {
                "2001:db8:51:7::a12f".to_owned()
            } else {
                format!("198.51.100.{}", 20 + place)
            },
            sport: 40_000 + place,
            dst: if place == 5 {
                "2001:db8:51::53".to_owned()
            } else {
                "192.0.2.80".to_owned()
            },
            dport: if place.is_multiple_of(3) { 53 } else { 443 },
            sender: (place == 4).then(|| sender.to_string()),
            ..FlowKey::default()
        },
        packets: full / (8 + u64::from(place)),
        total: full,
        first: second * 1000,
        last: second * 1000,
    };
    (0..6).map(flow).collect()
}

fn incident() -> Incident {
    let sums = (FULL..FIXED).map(refused);
    let (full, clash) = sums.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
    let body = json!({
        "kind": "leak",
        "evidence": [
            {"code": "table_use", "text": "65,536 of 65,536 entries are in use in gateway (95 % counts as full)"},
            {"code": "idle", "text": "86 % of the entries are established TCP connections without a packet for 1h or longer"},
            {"code": "idle_source", "text": "97 % of the idle entries are from 10.8.0.66"},
            {"code": "second_look", "text": "ctdrop read 2,048 connections again after 3 s: 12 had a packet; 2,036 had none and are idle; 0 had none, and their timeout is unknown"},
            {"code": "other_timeout", "text": "some connections have a timeout of at most 5m instead of the sysctl's: a rule (ct timeout) or unacknowledged data sets this timeout"},
        ],
        "remedies": [
            {"what": "find out which program on 10.8.0.66 does not close its connections", "how": "ctdrop who --src 10.8.0.66 --netns gateway", "commands": ["ctdrop who --src 10.8.0.66 --netns gateway"]},
            {"what": "delete flows from 10.8.0.66 (pod/checkout-6f9d)", "how": "ip netns exec gateway conntrack -D -s 10.8.0.66; deleting a flow breaks a NATed connection that is in use", "commands": ["ip netns exec gateway conntrack -D -s 10.8.0.66"]},
            {"what": "shorten net.netfilter.nf_conntrack_tcp_timeout_established from 5days to 1h", "how": "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=3600", "commands": []},
        ],
    });
    Incident {
        id: 1,
        netns: 1,
        opened: at(FULL),
        last: at(FIXED - 1),
        closed: Some((at(FIXED + 299), ClosedBy::Quiet)),
        refused: full + clash,
        drops: json!({"table_full": full, "clash": clash}).to_string(),
        flows: (full + clash) / 3,
        entries: Some(LIMIT),
        max: Some(LIMIT),
        kind: "leak".to_owned(),
        confidence: "likely".to_owned(),
        culprit: Some("from 10.8.0.66 (pod/checkout-6f9d): 54,811 entries".to_owned()),
        body: body.to_string(),
        ..Incident::default()
    }
}

fn census(second: i64, cause: &str) -> Census {
    let row = |by: &str, key: &str, owner: Option<&str>, entries, idle| CensusRow {
        by: by.to_owned(),
        key: key.to_owned(),
        owner: owner.map(ToOwned::to_owned),
        entries,
        unreplied: entries / 90,
        idle,
    };
    Census {
        incident: 1,
        at: at(second),
        cause: cause.to_owned(),
        entries: LIMIT,
        unreplied: 1204,
        established: 60_112,
        idle: 56_502,
        idle_unknown: 310,
        error_bound: 0,
        rows: vec![
            row(
                "source",
                "10.8.0.66",
                Some("pod/checkout-6f9d"),
                54_811,
                54_760,
            ),
            row("source", "10.8.0.12", Some("pod/frontend-77b1"), 2210, 31),
            row("source", "2001:db8:51:7::a12f", None, 904, 2),
            row("destination", "192.0.2.80", None, 57_800, 54_760),
            row("destination", "192.0.2.53", None, 2110, 0),
            row("service", "tcp 192.0.2.80:443", None, 57_731, 54_760),
            row("service", "udp 192.0.2.53:53", None, 2110, 0),
            row("owner", "pod/checkout-6f9d", None, 54_811, 54_760),
            row("owner", "pod/frontend-77b1", None, 2210, 31),
        ],
    }
}

fn survival(second: i64, fixed: bool) -> Survival {
    let line = if fixed {
        "/etc/sysctl.d/90-ctdrop.conf:2 says net.netfilter.nf_conntrack_max = 262144; systemd-sysctl sets the limit, and nothing changes it afterwards"
    } else {
        "conntrack starts with the kernel's default; systemd-sysctl applied /etc/sysctl.conf:61 (65,536) too early, before conntrack was loaded"
    };
    let max = if fixed { 4 * LIMIT } else { LIMIT };
    let later = if fixed { 4 * LIMIT } else { 15_360 };
    let body = json!({
        "boot": {"because": line},
        "service_restart": {"because": "nothing changes the limit"},
        "module_reload": {"because": line},
        "caveats": ["cannot read /etc/firewalld: Permission denied"],
    });
    Survival {
        at: at(second),
        cause: "fix".to_owned(),
        in_force: Some((max, max / 4)),
        boot: Some(later),
        restart: Some(max),
        reload: Some(later),
        body: body.to_string(),
    }
}

fn fixes() -> Vec<Fix> {
    let raised = json!({
        "action": "raised",
        "before": {"max": LIMIT, "buckets": 16_384},
        "after": {"max": 4 * LIMIT, "buckets": 65_536},
    });
    let kept = json!({
        "action": "kept",
        "id": "2026-03-12T13:45:01Z-1",
        "steps": [{
            "kind": "create", "path": "/etc/sysctl.d/90-ctdrop.conf", "before": null, "after": "",
            "why": "read at boot, after the module is loaded",
            "diff": "--- /dev/null\n+++ /etc/sysctl.d/90-ctdrop.conf\n@@ -0,0 +1,2 @@\n+# Written by ctdrop.\n+net.netfilter.nf_conntrack_max = 262144\n",
        }],
    });
    [(FIXED, "raised", raised), (FIXED + 2, "kept", kept)]
        .map(|(second, action, body)| Fix {
            at: at(second),
            action: action.to_owned(),
            body: body.to_string(),
        })
        .to_vec()
}

/// Writes it to a new database.
pub(crate) fn write(path: &Path) -> Result<()> {
    let boot = Boot {
        boot_id: "b7d0d4fb-6c9e-4d0b-9d6c-0d2d3a7c9f11".to_owned(),
        host: "edge-gateway-3".to_owned(),
        kernel: "6.12.0-18-amd64".to_owned(),
        facts: json!({"distribution": "Debian GNU/Linux 13 (trixie)", "processors": 8, "memory": 16_u64 << 30})
            .to_string(),
    };
    let mut store = Store::open(path, Bounds::default(), &boot)?.store;
    // The run has begun within the time of the report, which is over by now.
    BEGIN.get_or_init(|| store.begun().at.wall - (FIXED + 370) * 1000);
    let line = |second: i64, text: &str| LogLine {
        at: at(second),
        text: text.to_owned(),
    };
    let full = "nf_conntrack: nf_conntrack: table full in netns 4026532114, dropping packet";
    let mut log_lines: Vec<LogLine> = (0..9).map(|place| line(FULL + place * 5, full)).collect();
    log_lines.push(line(FULL + 50, "net_ratelimit: 5990 callbacks suppressed"));
    let happened = |second: i64, event: &str| Event {
        at: at(second),
        event: event.to_owned(),
        detail: None,
    };
    store.write(&Record {
        namespaces: vec![Namespace {
            netns: 1,
            inode: 4_026_532_114,
            name: "gateway".to_owned(),
            since: at(0),
            ..Namespace::default()
        }],
        intervals: (0..END).map(interval).collect(),
        limits: vec![LimitChange {
            at: at(FIXED),
            max_before: LIMIT,
            buckets_before: 16_384,
            max: 4 * LIMIT,
            buckets: 65_536,
            made_by: Some("ctdrop --fix".to_owned()),
        }],
        survivals: vec![survival(0, false), survival(FIXED + 3, true)],
        events: vec![happened(FULL - 60, "armed"), happened(FIXED + 310, "at_rest")],
        log_lines,
        fixes: fixes(),
        gaps: vec![Gap {
            from: at(700),
            at: at(712),
            why: "not_written".to_owned(),
            lost: 0,
            detail: Some("cannot use /var/lib/ctdrop/ctdrop.db: database or disk is full".to_owned()),
        }],
        incidents: vec![incident()],
        censuses: vec![census(FULL + 2, "opened"), census(FULL + 60, "peak"), census(FULL + 240, "doubled")],
        run: Some(Run {
            backend: Some("fexit".to_owned()),
            start: Some(json!({"warnings": []}).to_string()),
            losses: Some(json!({"missed": {}, "faults": {}, "error_bound": 0, "unexplained": 0, "unchecked": 0}).to_string()),
            ended: None,
        }),
    })?;
    Ok(())
}
