//! Whole screens, compared with files. `CTDROP_GOLDENS=write` writes them.

use std::{env, fs, path::Path};

use conntrack_ebpf::Reason;

use super::stage::Stage;
use crate::observe::backend::Backend;

/// Small and large.
const SIZES: [(u16, u16); 4] = [(20, 10), (60, 15), (80, 24), (200, 50)];

#[track_caller]
fn compare(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/subscribers/screen/goldens")
        .join(format!("{name}.txt"));
    let text = lines.join("\n") + "\n";
    if env::var_os("CTDROP_GOLDENS").is_some_and(|it| it == "write") {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{} is not what is drawn:\n{text}",
        path.display()
    );
}

fn in_all_sizes(stage: &mut Stage, name: &str) {
    for (width, height) in SIZES {
        let lines = stage.shown(width, height);
        compare(&format!("{name}-{width}x{height}"), &lines);
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_interval() {
    let mut stage = Stage::new().await;
    in_all_sizes(&mut stage, "start");
}

#[tokio::test(start_paused = true)]
async fn at_rest() {
    let mut stage = Stage::new().await;
    for _ in 0..10 {
        stage.second(&[(Reason::TableFull, 0)], 300);
    }
    stage.restart(Backend::Tracepoint);
    stage.second(&[], 300);
    in_all_sizes(&mut stage, "rest");
}

#[tokio::test(start_paused = true)]
async fn under_a_flood() {
    let mut stage = Stage::new().await;
    stage.change_limit();
    stage.flood();
    in_all_sizes(&mut stage, "flood");
}

#[tokio::test(start_paused = true)]
async fn each_pane() {
    let mut stage = Stage::new().await;
    stage.change_limit();
    stage.flood();
    for (keys, name) in [
        ("\t", "events"),
        ("\t", "incident"),
        ("\t", "who"),
        ("\t", "fix"),
        ("\u{1b}?", "help"),
        ("\u{1b}i", "sight"),
        ("\u{1b}/10.0.0.0/8 blue", "typing"),
        ("\u{1b} ", "paused"),
    ] {
        stage.press(keys);
        let lines = stage.shown(80, 24);
        compare(&format!("pane-{name}"), &lines);
    }
}

#[tokio::test(start_paused = true)]
async fn every_size_shows_reason_and_total() {
    let mut stage = Stage::new().await;
    stage.flood();
    for height in 1..60 {
        for width in [1, 5, 19, 20, 40, 79, 80, 131, 200] {
            let lines = stage.shown(width, height);
            let has = |text: &str| lines.iter().any(|line| line.contains(text));
            if width >= 20 {
                let refused = lines.iter().find(|line| line.starts_with("refused"));
                let refused = refused.unwrap_or_else(|| panic!("{width}×{height}: {lines:#?}"));
                assert!(refused.contains(',') && refused.ends_with(char::is_numeric) || width > 20);
            }
            if width >= 20 && height >= 10 {
                assert!(has("table_full"), "{width}×{height}: {lines:#?}");
            }
        }
    }
}
