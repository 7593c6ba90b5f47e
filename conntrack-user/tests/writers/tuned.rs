//! Profiles of `TuneD`: what they set, or that it is not known.

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

const PROFILE: &str = "/etc/tuned/profiles/mine/tuned.conf";

/// A host on which `TuneD` runs with this profile, and files set nothing that it would
/// apply once more.
fn host(profile: &str) -> Host {
    let profile = profile
        .replace("KEY", KEY)
        .replace("FILE=", &format!("{FILE}="));
    let host = Host::with(PROFILE, &profile);
    host.write("/etc/tuned/active_profile", "mine\n");
    host.write("/etc/tuned/tuned-main.conf", "reapply_sysctl = 0\n");
    let wants = "/etc/systemd/system/multi-user.target.wants/tuned.service";
    host.write(wants, "[Service]\nExecStart=/usr/sbin/tuned\n");
    host.write(
        "/usr/lib/tuned/profiles/parent/tuned.conf",
        format!("[main]\nsummary=x\n[sysctl]\n{KEY}=900000\nvm.swappiness=1\n"),
    );
    host.write(
        "/usr/lib/tuned/profiles/grandchild/tuned.conf",
        "[main]\ninclude=parent\n",
    );
    host
}

#[test]
fn what_a_profile_sets() {
    let cases: [(&str, Limit); 22] = [
        ("[sysctl]\nKEY=655360\n", Is(655_360)),
        ("[sysctl]\nKEY = \"655360\"  # ours\n", Is(655_360)),
        ("[sysctl]\n;KEY=655360\n", Is(FILES)),
        // A dot is always a slash for it, and a slash is a dot.
        (
            "[sysctl]\nnet/netfilter/nf_conntrack_max=655360\n",
            Is(FILES),
        ),
        ("[variables]\nm=655360\n[sysctl]\nKEY=${m}\n", Is(655_360)),
        (
            "[variables]\nm=655\nn=${m}360\n[sysctl]\nKEY=${n}\n",
            Is(655_360),
        ),
        ("[sysctl]\nKEY=${m}\n", UnknownBy(2)),
        ("[sysctl]\nKEY=${f:exec:echo:65536}\n", UnknownBy(2)),
        (
            "[variables]\nm=${f:exec:echo:9}\n[sysctl]\nKEY=${m}\n",
            UnknownBy(4),
        ),
        ("[ours]\ntype=sysctl\nKEY=655360\n", Is(655_360)),
        ("[sysctl]\nenabled=0\nKEY=655360\n", Is(FILES)),
        ("[sysctl]\nuname_regex=x86\nKEY=655360\n", UnknownBy(3)),
        // Only if it is then higher, or lower.
        ("[sysctl]\nKEY=>655360\n", Is(FILES)),
        ("[sysctl]\nKEY=<655360\n", Is(655_360)),
        ("[sysctl]\nKEY=>2000000\n", Is(2_000_000)),
        ("[main]\ninclude=parent\n", Is(900_000)),
        ("[main]\ninclude=grandchild\n", Is(900_000)),
        (
            "[main]\ninclude=parent\n[sysctl]\nKEY=655360\n",
            Is(655_360),
        ),
        (
            "[main]\ninclude=parent\n[sysctl]\nreplace=1\nvm.swappiness=1\n",
            Is(FILES),
        ),
        (
            "[main]\ninclude=${f:virt_check:parent:other}\n",
            UnknownBy(4),
        ),
        ("[main]\ninclude=${f:hostname}\n", UnknownBy(2)),
        // Not below /sys: it refuses that.
        ("[sysfs]\nFILE=655360\n", Is(FILES)),
    ];
    for (profile, expected) in cases {
        assert_eq!(host(profile).limit(), expected, "{profile}");
    }
}

#[test]
fn a_script_of_a_profile_is_run() {
    for script in ["${i:PROFILE_DIR}/s.sh", "s.sh"] {
        let host = host(&format!("[script]\nscript={script}\n"));
        let text = format!("#!/bin/sh\n[ \"$1\" = start ] && sysctl -w {KEY}=655360\n");
        host.write("/etc/tuned/profiles/mine/s.sh", text);
        assert_eq!(host.limit(), Is(655_360), "{script}");
    }
}

#[test]
fn files_that_are_applied_once_more_win() {
    let host = host("[sysctl]\nKEY=655360\n");
    host.write("/etc/tuned/tuned-main.conf", "reapply_sysctl = 1\n");
    assert_eq!(host.limit(), Is(FILES));
}

#[test]
fn a_profile_that_is_not_in_the_tree_is_told() {
    let unread = |profile: &str| {
        let host = host(profile);
        let facts = conntrack_user::facts::Facts::read(
            &conntrack_user::facts::root::Root::open(host.0.path()).unwrap(),
        );
        facts.unwrap().unreadable.len()
    };
    assert_eq!(unread("[main]\ninclude=absent\n"), 1);
    assert_eq!(unread("[main]\ninclude=-absent\n"), 0);
    // What it says is overridden.
    assert_eq!(unread("[main]\ninclude=absent\n[sysctl]\nKEY=655360\n"), 0);
}
