//! What each key does.

use conntrack_ebpf::Reason;

use super::stage::{BLUE, Stage};
use crate::{
    engine::{by::By, refusals::Need, view::Sort},
    subscribers::{
        input::{Input, Key},
        screen::{
            keys::{self, HELP},
            pane::{Answer, Pane},
            state::{Effect, Overlay},
        },
    },
};

async fn flooded() -> Stage {
    let mut stage = Stage::new().await;
    stage.flood();
    stage.shown(80, 24);
    stage
}

#[tokio::test(start_paused = true)]
async fn each_key_of_the_help_does_something() {
    for (written, what) in HELP {
        let names = written.split(' ').filter(|it| *it != "space");
        for name in names {
            let key = match name {
                "↑" => Key::Up,
                "↓" => Key::Down,
                "←" => Key::Left,
                "→" => Key::Right,
                "PgUp" => Key::PageUp,
                "PgDn" => Key::PageDown,
                "Home" => Key::Home,
                "End" => Key::End,
                "Tab" => Key::Tab,
                "Esc" => Key::Escape,
                "Ctrl-L" => Key::Ctrl('l'),
                // A signal ends it.
                "Ctrl-C" => continue,
                letter => Key::Char(letter.chars().next().unwrap()),
            };
            assert!(keys::action(key).is_some(), "{name}: {what}");
        }
    }
    assert!(keys::action(Key::Char(' ')).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_census_before_the_first_interval_is_asked_for_again() {
    let mut stage = Stage::new().await;
    stage.shown(80, 24);
    stage.press("w");
    let Answer::Failed(why) = &stage.state.census else {
        panic!("{:?}", stage.state.census);
    };
    assert!(why.contains("first interval"), "{why}");
    stage.flood();
    stage.shown(80, 24);
    stage.press("w");
    assert!(stage.state.census.is_asked());
}

#[test]
fn the_documentation_has_the_keys() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/screen.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (keys, what) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((keys, what.strip_suffix(" |")?))
    });
    assert_eq!(rows.collect::<Vec<_>>(), HELP);
}

#[tokio::test(start_paused = true)]
async fn rows_are_selected_and_scrolled() {
    let mut stage = flooded().await;
    assert_eq!(stage.state.selected(), 0);
    stage.press("jj↓k");
    assert_eq!(stage.state.selected(), 2);
    stage.press("G");
    stage.shown(80, 24);
    assert_eq!(stage.state.selected(), 29);
    let room = stage.state.room.rows;
    assert_eq!(stage.state.selection.top, 30 - room);
    stage.state.input(&Input::Key(Key::PageUp));
    assert_eq!(stage.state.selected(), 29 - room);
    stage.press("g");
    stage.shown(80, 24);
    assert_eq!((stage.state.selected(), stage.state.selection.top), (0, 0));
    stage.state.input(&Input::Key(Key::PageDown));
    assert_eq!(stage.state.selected(), room);
}

#[tokio::test(start_paused = true)]
async fn the_selected_row_keeps_its_flow() {
    let mut stage = flooded().await;
    stage.press("jj");
    let before = stage.press("c");
    let Some(Effect::Copy(before)) = before else {
        panic!("{before:?}")
    };
    assert!(before.contains("\"src\":\"192.0.2.3\""), "{before}");
    stage.press("S");
    stage.list();
    assert_eq!(stage.state.selected(), 27, "it is elsewhere now");
    let Some(Effect::Copy(after)) = stage.press("c") else {
        panic!("no row")
    };
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn a_row_is_copied_as_json_with_its_total() {
    let mut stage = flooded().await;
    let Some(Effect::Copy(json)) = stage.press("c") else {
        panic!("no row")
    };
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["packets"], 39 * 60);
    assert_eq!(json["reason"], "table_full");
    assert_eq!(json["netns_name"], "blue");
    stage.press("b");
    stage.list();
    let Some(Effect::Copy(json)) = stage.press("c") else {
        panic!("no row")
    };
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["address"], "192.0.2.1");
}

#[tokio::test(start_paused = true)]
async fn rows_are_sorted_and_added_up() {
    let mut stage = flooded().await;
    let Some(Effect::Look(view)) = stage.press("s") else {
        panic!("no other view")
    };
    assert_eq!((view.sort, view.by), (Sort::Total, By::Flow));
    let Some(Effect::Look(view)) = stage.press("S") else {
        panic!("no other view")
    };
    assert!(view.reversed);
    for by in By::ALL.into_iter().skip(1).chain([By::Flow]) {
        let Some(Effect::Look(view)) = stage.press("b") else {
            panic!("no other view")
        };
        assert_eq!(view.by, by);
        stage.list();
        let lines = stage.shown(200, 24);
        assert!(lines.iter().any(|line| line.contains("RATE")), "{lines:#?}");
    }
    assert!(matches!(stage.press("B"), Some(Effect::Look(view)) if view.by == By::Sender));
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_typed_shown_and_cleared() {
    let mut stage = flooded().await;
    assert!(
        stage.press("/q").is_none(),
        "a letter while typing is no key"
    );
    assert_eq!(stage.state.prompt.as_ref().unwrap().text(), "q");
    stage.press("\u{1b}");
    assert!(stage.state.prompt.is_none() && stage.state.view.filter.is_empty());
    let Some(Effect::Look(view)) = stage.press("/192.0.2.4 udp\n") else {
        panic!("no other view")
    };
    assert_eq!(view.filter.text(), "192.0.2.4 udp");
    stage.list();
    let lines = stage.shown(80, 24);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("filter: 192.0.2.4 udp")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("1–1 of 1")),
        "{lines:#?}"
    );
    assert!(matches!(stage.press("\u{1b}"), Some(Effect::Look(view)) if view.filter.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_stands_still_and_counts_on() {
    let mut stage = flooded().await;
    stage.press(" ");
    let before = stage.shown(80, 24);
    stage.second(&[(Reason::TableFull, 1_000_000)], 1000);
    assert_eq!(stage.shown(80, 24), before);
    assert!(before[0].contains("PAUSED"), "{before:#?}");
    stage.press(" ");
    let after = stage.shown(80, 24);
    assert!(after.iter().any(|line| line.contains("1,0")), "{after:#?}");
    assert!(stage.state.shown.history.all.total > 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_paused_screen_still_answers_to_another_view() {
    let mut stage = flooded().await;
    stage.press(" b");
    stage.second(&[(Reason::TableFull, 1)], 1000);
    let listing = stage.state.shown.listing.as_ref().unwrap();
    assert_eq!(listing.view.by, By::Src);
}

#[tokio::test(start_paused = true)]
async fn panes_take_turns() {
    let mut stage = flooded().await;
    for pane in Pane::ALL.into_iter().skip(1).chain([Pane::Table]) {
        stage.press("\t");
        assert_eq!(stage.state.panes.focus(), pane);
    }
    stage.state.input(&Input::Key(Key::BackTab));
    assert_eq!(stage.state.panes.focus(), Pane::Plan);
    stage.press("\u{1b}");
    assert_eq!(stage.state.panes.focus(), Pane::Table);
}

#[tokio::test(start_paused = true)]
async fn events_stay_at_their_end_until_they_are_scrolled() {
    let mut stage = Stage::new().await;
    stage.second(&[], 10);
    for _ in 0..40 {
        stage.change_limit();
    }
    stage.press("\t");
    stage.shown(80, 24);
    let end = stage.state.panes.top();
    assert!(end > 20);
    stage.press("kk");
    stage.shown(80, 24);
    assert_eq!(stage.state.panes.top(), end - 2);
    stage.change_limit();
    stage.shown(80, 24);
    assert_eq!(stage.state.panes.top(), end - 2, "somebody reads");
    stage.press("G");
    stage.change_limit();
    stage.shown(80, 24);
    assert_eq!(stage.state.panes.top(), end + 2);
}

#[tokio::test(start_paused = true)]
async fn a_census_is_taken_of_the_worst_table() {
    let mut stage = flooded().await;
    let asked = stage.press("w");
    assert!(matches!(asked, Some(Effect::Census(BLUE))), "{asked:?}");
    assert!(stage.press("w").is_none(), "it is under way");
    let error = Box::new(Err("the network namespace is gone".to_owned()));
    stage.state.input(&Input::Census(BLUE, error));
    let lines = stage.shown(80, 24);
    assert!(
        lines.iter().any(|line| line.contains("namespace is gone")),
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_made_for_what_was_refused() {
    let mut stage = Stage::new().await;
    stage.second(&[], 10);
    assert!(stage.press("f").is_none(), "nothing was refused");
    assert!(matches!(stage.state.plan, Answer::Failed(_)));
    stage.flood();
    let Some(Effect::Plan(trigger)) = stage.press("f") else {
        panic!("no plan")
    };
    assert_eq!(trigger.need, Need::Room);
    assert_eq!((trigger.refused[0].netns, trigger.table.max), (BLUE, 1000));
    let all = &stage.state.shown.history.all;
    assert!(trigger.refused[0].packets <= all.total);
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_neither_tables_nor_files() {
    let mut stage = flooded().await;
    stage.state.live = false;
    assert!(stage.press("w").is_none() && stage.press("f").is_none());
    assert!(matches!(stage.state.census, Answer::Failed(_)));
    assert!(matches!(stage.state.plan, Answer::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn pages_cover_the_screen_and_go() {
    let mut stage = flooded().await;
    stage.press("?");
    assert_eq!(stage.state.overlay, Some(Overlay::Help));
    stage.press("i");
    assert_eq!(stage.state.overlay, Some(Overlay::Sight));
    stage.press("\u{1b}");
    assert_eq!(stage.state.overlay, None);
    stage.press("?");
    assert!(matches!(stage.press("q"), Some(Effect::Quit)));
}

#[tokio::test(start_paused = true)]
async fn times_are_local_until_they_are_not() {
    let mut stage = flooded().await;
    let lines = stage.shown(80, 24);
    assert!(lines[0].ends_with("11:00:00 +01:00"), "{}", lines[0]);
    stage.press("t");
    let lines = stage.shown(80, 24);
    assert!(lines[0].ends_with("10:00:00 +00:00"), "{}", lines[0]);
}

#[tokio::test(start_paused = true)]
async fn hostile_names_are_inert() {
    let mut stage = Stage::new().await;
    stage.call("ev\u{1b}[2Jil\u{202e}\n");
    stage.second(&[(Reason::TableFull, 9)], 1000);
    for keys in ["", "\t", "\t", "\u{1b}i", "\u{1b}/\u{1b}[31m"] {
        stage.press(keys);
        for line in stage.shown(120, 30) {
            let acts = |letter: char| letter.is_control() || letter == '\u{202e}';
            assert!(!line.contains(acts), "{line:?}");
        }
    }
    let lines = stage.shown(120, 30);
    assert!(
        lines.iter().any(|line| line.contains("ev\u{fffd}[2Jil")),
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn q_asks_for_the_end() {
    let mut stage = flooded().await;
    assert!(matches!(stage.press("q"), Some(Effect::Quit)));
}
