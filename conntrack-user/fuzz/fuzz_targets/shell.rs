//! Scripts that run at boot: whatever `rc.local` says, the host is judged, and what
//! is told of the script has a line that is there.

#![no_main]

use std::path::{Path, PathBuf};

use conntrack_user::{
    facts::{
        Facts,
        root::{
            Root,
            overlay::{Overlay, Planned},
        },
    },
    survival::{Start, simulate},
};
use libfuzzer_sys::fuzz_target;

/// A host that runs this script at boot.
const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/trees/rc-local");
const SCRIPT: &str = "/etc/rc.d/rc.local";

fuzz_target!(|script: &[u8]| {
    let planned = Planned::File {
        content: script.to_vec(),
        executable: true,
    };
    let overlay = Overlay::from([(PathBuf::from(SCRIPT), planned)]);
    let root = Root::with_overlay(Path::new(TREE), overlay).expect("the tree is there");
    let facts = Facts::read(&root).expect("it has an etc/");
    let lines = String::from_utf8_lossy(script).split('\n').count();
    for writer in &facts.writers {
        let told = writer.evidence.iter();
        for line in told.chain(writer.sets.iter().map(|sets| &sets.source)) {
            if line.file == Path::new(SCRIPT) {
                assert!((1..=lines).contains(&(line.line as usize)), "{line:?}");
            }
        }
    }
    let survival = simulate(&facts, Start::AfterBoot);
    assert!(survival.outcomes().len() >= 2, "a boot and a reload");
});
