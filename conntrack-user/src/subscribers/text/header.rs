//! The header: where this runs, and how well it can see.

use crate::{
    engine::header::Header,
    observe::{backend::Backend, survey::unusable::Unusable},
    say::text::plain,
    subscribers::text::{BOLD, limit, note},
};

/// Where this runs, how well it can see, and the limit.
pub(in crate::subscribers) fn lines(header: &Header) -> Vec<String> {
    let mut lines = about(header);
    lines.push(limit::at_start(header));
    lines
}

/// Where this runs, and how well it can see.
pub(in crate::subscribers) fn about(header: &Header) -> Vec<String> {
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
        let until = if header.releases_module {
            "somebody else needs it"
        } else {
            "ctdrop runs"
        };
        lines.push(format!(
            "         module nf_conntrack cannot be unloaded while {until}"
        ));
    }
    lines
}
