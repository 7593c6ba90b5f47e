//! The header: where this runs, and how well it can see.

use crate::{
    engine::header::Header,
    observe::{backend::Backend, survey::unusable::Unusable},
    say::{number::optional, text::plain},
    subscribers::text::{BOLD, note},
};

/// Where this runs, and how well it can see.
pub(in crate::subscribers) fn lines(header: &Header) -> Vec<String> {
    let mut lines = vec![format!(
        "{BOLD}ctdrop {}{BOLD:#} on {}, Linux {}",
        env!("CARGO_PKG_VERSION"),
        plain(&header.host),
        plain(&header.release)
    )];
    lines.push(format!(
        "backend  {}: {}",
        header.backend,
        match header.backend {
            Backend::Fexit | Backend::Kprobe => "every reason, every flow",
            Backend::Tracepoint =>
                "flows of packets that got no entry; a packet that a rule drops is not counted; other \
                 reasons from the kernel's counters",
            Backend::Counters =>
                "how many packets, and reasons as far as the counters prove them; no flow",
        }
    ));
    // A reason that several backends share is said once.
    let why: Vec<(&Unusable, String)> = header.not_used.iter().map(|it| (it, it.why())).collect();
    for same in why.chunk_by(|(_, a), (_, b)| a == b) {
        let backends: Vec<String> = same.iter().map(|(it, _)| it.backend.to_string()).collect();
        lines.push(format!(
            "         not {}: {}",
            backends.join(", "),
            same[0].1
        ));
    }
    lines.extend(header.warnings.iter().map(|warning| note(warning)));
    if !header.armed {
        lines.push(
            "         at rest: until there is pressure, refused packets are counted, but not by flow"
                .to_owned(),
        );
    }
    if header.pins_module {
        lines.push("         module nf_conntrack cannot be unloaded while ctdrop runs".to_owned());
    }
    let limits = &header.limits;
    let place = match &header.only {
        Some(only) => format!("in {}", plain(&only.netns_name)),
        None => "here".to_owned(),
    };
    let entries = if limits.entries == Some(1) {
        "entry"
    } else {
        "entries"
    };
    lines.push(format!(
        "limit    {} entries in each network namespace, {} buckets; {} {entries} {place} now",
        optional(limits.max),
        optional(limits.buckets),
        optional(limits.entries)
    ));
    lines
}
