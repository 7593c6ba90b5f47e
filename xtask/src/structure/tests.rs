//! Planted violations, each in a small package of its own.

use std::{fs, path::Path};

use tempfile::TempDir;
use workspace::{Kind, Target};

use super::*;

/// A workspace with one package, of which each file is given by path and text.
fn planted(files: &[(&str, &str)]) -> (TempDir, Package) {
    let workspace = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = workspace.path().join("house").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let target = |kind, name: &str, file: &str| Target {
        kind,
        name: name.into(),
        file: Path::new("house").join(file),
    };
    let targets = [
        target(Kind::Library, "house", "src/lib.rs"),
        target(Kind::Program, "house", "src/main.rs"),
        target(Kind::Other, "story", "tests/story.rs"),
    ];
    let there = |target: &Target| workspace.path().join(&target.file).is_file();
    let package = Package {
        name: "house".into(),
        folder: "house".into(),
        targets: targets.into_iter().filter(there).collect(),
    };
    (workspace, package)
}

/// What is reported of a package without layers.
fn reported(files: &[(&str, &str)]) -> Vec<String> {
    let (workspace, package) = planted(files);
    let violations = of_package(workspace.path(), &package, None).unwrap();
    violations.iter().map(ToString::to_string).collect()
}

/// What is reported of a package with a table of layers.
fn reported_by(table: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (workspace, package) = planted(files);
    let text = format!("```layers\n{table}\n```\n");
    fs::write(workspace.path().join(TABLE), text).unwrap();
    let layers = Layers::read(workspace.path(), Path::new(TABLE)).unwrap();
    let violations = of_package(workspace.path(), &package, Some(&layers)).unwrap();
    violations.iter().map(ToString::to_string).collect()
}

mod rooms {
    use super::*;

    const TABLE: &str = "main  the program\nlogs, facts\nsay  words";
    const ROOT: (&str, &str) = ("src/lib.rs", "pub mod facts;\npub mod logs;\npub mod say;");

    #[test]
    fn an_import_may_point_downward() {
        let files = [
            ROOT,
            ("src/main.rs", "use house::{facts::Facts, say};"),
            ("src/facts.rs", "use crate::say::number;\npub struct Facts;"),
            ("src/logs.rs", "fn f() { crate::say::number() }"),
            ("src/say.rs", "pub fn number() {}"),
        ];
        assert_eq!(reported_by(TABLE, &files), [""; 0]);
    }

    #[test]
    fn an_import_must_not_point_upward() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            ("src/facts.rs", "pub struct Facts;"),
            ("src/logs.rs", ""),
            ("src/say.rs", "\nuse crate::facts::Facts;"),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/say.rs:2: room say uses crate::facts::Facts, but facts is in no layer below"
            ]
        );
    }

    #[test]
    fn an_import_must_not_point_to_the_same_layer() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            ("src/facts.rs", "pub fn read() {}"),
            ("src/logs/mod.rs", "mod line;"),
            ("src/logs/line.rs", "fn f() {\n    crate::facts::read()\n}"),
            ("src/say.rs", ""),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/logs/line.rs:2: room logs uses crate::facts::read, but facts is in no layer below"
            ]
        );
    }

    #[test]
    fn a_name_that_another_room_hands_on_is_of_that_room_too() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            ("src/facts.rs", "pub use crate::say::number;"),
            ("src/logs.rs", "use crate::facts::number;"),
            ("src/say.rs", "pub fn number() {}"),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/logs.rs:1: room logs uses crate::facts::number, but facts is in no layer below"
            ]
        );
    }

    #[test]
    fn what_a_macro_makes_in_a_room_is_of_that_room() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            ("src/facts.rs", "make! { Facts }"),
            ("src/logs.rs", ""),
            ("src/say.rs", "use crate::facts::Facts;"),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/say.rs:1: room say uses crate::facts::Facts, but facts is in no layer below"
            ]
        );
    }

    #[test]
    fn variants_that_are_all_imported_hide_no_path() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            ("src/facts.rs", "pub mod read {}\npub enum Fact { One }"),
            (
                "src/logs.rs",
                "use Level::*;\nenum Level { Low }\nfn f() { house::facts::read::all() }",
            ),
            ("src/say.rs", ""),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/logs.rs:3: room logs uses house::facts::read::all, but facts is in no layer below"
            ]
        );
    }

    #[test]
    fn a_room_has_a_layer_and_a_layer_its_rooms() {
        let files = [
            ("src/lib.rs", "pub mod attic;\npub mod facts;\npub mod say;"),
            ("src/main.rs", ""),
            ("src/attic.rs", "use crate::say::number;"),
            ("src/facts.rs", ""),
            ("src/say.rs", "pub fn number() {}"),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            [
                "house/src/attic.rs: room attic is missing in the table of ARCHITECTURE.md",
                "ARCHITECTURE.md:3: room logs is in the table, but not in the sources",
            ]
        );
    }

    #[test]
    fn nothing_below_cli_knows_clap() {
        let files = [
            ("src/lib.rs", "pub mod cli;\npub mod say;"),
            ("src/main.rs", "use clap::Parser;"),
            ("src/cli.rs", "#[derive(clap::Args)]\npub struct Options;"),
            (
                "src/say.rs",
                "#[derive(Debug, clap::ValueEnum)]\npub enum Unit {}",
            ),
        ];
        assert_eq!(
            reported_by("main\ncli\nsay", &files),
            [
                "house/src/say.rs:1: clap::ValueEnum is named below room cli, which turns it into \
              plain options"
            ]
        );
    }

    #[test]
    fn nothing_lies_between_the_rooms() {
        let files = [
            (
                "src/lib.rs",
                "pub mod facts;\npub mod logs;\npub mod say;\npub struct Loose;",
            ),
            ("src/main.rs", ""),
            ("src/facts.rs", "fn f(_: crate::Loose) {}"),
            ("src/logs.rs", ""),
            ("src/say.rs", ""),
        ];
        assert_eq!(
            reported_by(TABLE, &files),
            ["house/src/facts.rs:1: crate::Loose is defined in house/src/lib.rs, which is no room"]
        );
    }

    #[test]
    fn a_test_may_import_all() {
        let files = [
            ROOT,
            ("src/main.rs", ""),
            (
                "src/facts.rs",
                "#[cfg(test)]\nmod tests { use crate::logs::read; }",
            ),
            ("src/logs.rs", "pub fn read() {}"),
            ("src/say.rs", "#[cfg(test)]\nmod tests;"),
            ("src/say/tests.rs", "use crate::logs::read;"),
            ("tests/story.rs", "use house::{logs::read, say};"),
        ];
        assert_eq!(reported_by(TABLE, &files), [""; 0]);
    }
}

mod circles {
    use super::*;

    #[test]
    fn a_circle_of_files_by_use() {
        let files = [
            ("src/lib.rs", "mod a;\nmod b;\nmod c;"),
            ("src/a.rs", "use crate::b::B;\npub struct A;"),
            ("src/b.rs", "use crate::c::C;\npub struct B;"),
            ("src/c.rs", "\nuse crate::a::A;\npub struct C;"),
        ];
        let expected = "house/src/a.rs:1: files use one another in a circle:
  house/src/a.rs uses house/src/b.rs
    house/src/a.rs:1: crate::b::B
  house/src/b.rs uses house/src/c.rs
    house/src/b.rs:1: crate::c::C
  house/src/c.rs uses house/src/a.rs
    house/src/c.rs:2: crate::a::A";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn a_circle_of_files_by_inline_paths() {
        let files = [
            ("src/lib.rs", "mod a;\nmod b;"),
            ("src/a.rs", "pub fn f() { print!(\"{}\", crate::b::f()) }"),
            ("src/b.rs", "use super::a;\npub fn f() { a::f() }"),
        ];
        let expected = "house/src/a.rs:1: files use one another in a circle:
  house/src/a.rs uses house/src/b.rs
    house/src/a.rs:1: crate::b::f
  house/src/b.rs uses house/src/a.rs
    house/src/b.rs:1: super::a
    house/src/b.rs:2: a::f";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn a_circle_of_a_child_with_what_its_parent_defines() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod b;\npub use self::b::B;\npub struct A;"),
            ("src/a/b.rs", "pub struct B(super::A);"),
        ];
        let expected = "house/src/a/b.rs:1: files use one another in a circle:
  house/src/a/b.rs uses house/src/a/mod.rs
    house/src/a/b.rs:1: super::A
  house/src/a/mod.rs uses house/src/a/b.rs
    house/src/a/mod.rs:2: self::b::B";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn a_parent_that_only_hands_on_is_in_no_circle() {
        let files = [
            ("src/lib.rs", "mod a;"),
            (
                "src/a/mod.rs",
                "mod b;\nmod c;\npub use b::B;\npub use c::C;",
            ),
            ("src/a/b.rs", "pub struct B(super::C);"),
            ("src/a/c.rs", "pub struct C;"),
        ];
        assert_eq!(reported(&files), [""; 0]);
    }

    #[test]
    fn what_a_parent_hands_on_closes_the_circle_of_its_children() {
        let files = [
            ("src/lib.rs", "mod a;"),
            (
                "src/a/mod.rs",
                "mod b;\nmod c;\npub use b::B;\npub use c::C;",
            ),
            ("src/a/b.rs", "pub struct B(super::C);"),
            ("src/a/c.rs", "use crate::a::B as Other;\npub struct C;"),
        ];
        let expected = "house/src/a/b.rs:1: files use one another in a circle:
  house/src/a/b.rs uses house/src/a/c.rs
    house/src/a/b.rs:1: super::C
  house/src/a/c.rs uses house/src/a/b.rs
    house/src/a/c.rs:1: crate::a::B";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn a_parent_that_only_declares_is_in_no_circle() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod b;\npub struct A;"),
            ("src/a/b.rs", "use super::A;"),
        ];
        assert_eq!(reported(&files), [""; 0]);
    }

    #[test]
    fn a_child_that_imports_all_of_its_parent_uses_it() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod b;\npub struct A(b::B);"),
            ("src/a/b.rs", "use super::*;\npub struct B(A);"),
        ];
        let expected = "house/src/a/b.rs:1: files use one another in a circle:
  house/src/a/b.rs uses house/src/a/mod.rs
    house/src/a/b.rs:1: super
  house/src/a/mod.rs uses house/src/a/b.rs
    house/src/a/mod.rs:2: b::B";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn what_only_tests_use_closes_no_circle() {
        let files = [
            ("src/lib.rs", "mod a;\nmod b;"),
            ("src/a.rs", "use crate::b::B;\npub struct A;"),
            ("src/b.rs", "pub struct B;\n#[cfg(test)]\nuse crate::a::A;"),
        ];
        assert_eq!(reported(&files), [""; 0]);
    }

    #[test]
    fn a_circle_of_folders_without_one_of_files() {
        let files = [
            ("src/lib.rs", "mod a;\nmod b;"),
            ("src/a/mod.rs", "pub mod one;\npub mod two;"),
            ("src/a/one.rs", "use crate::b::one::B;"),
            ("src/a/two.rs", "pub struct A;"),
            ("src/b/mod.rs", "pub mod one;\npub mod two;"),
            ("src/b/one.rs", "pub struct B;"),
            ("src/b/two.rs", "pub fn f() -> crate::a::two::A { todo!() }"),
        ];
        let expected = "house/src/a/one.rs:1: folders use one another in a circle:
  house/src/a/ uses house/src/b/
    house/src/a/one.rs:1: crate::b::one::B
  house/src/b/ uses house/src/a/
    house/src/b/two.rs:1: crate::a::two::A";
        assert_eq!(reported(&files), [expected]);
    }

    #[test]
    fn a_circle_of_a_folder_with_a_file_beside_it() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod b;\nmod c;"),
            ("src/a/b.rs", "mod one;\nmod two;\npub use two::Two;"),
            ("src/a/b/one.rs", "use super::super::c::C;"),
            ("src/a/b/two.rs", "pub struct Two;"),
            ("src/a/c.rs", "pub struct C(super::b::Two);"),
        ];
        let expected = "house/src/a/b/one.rs:1: folders use one another in a circle:
  house/src/a/b/ uses house/src/a/c.rs
    house/src/a/b/one.rs:1: super::super::c::C
  house/src/a/c.rs uses house/src/a/b/
    house/src/a/c.rs:1: super::b::Two";
        assert_eq!(reported(&files), [expected]);
    }
}

mod sizes {
    use super::*;

    /// A source of so many lines.
    fn long(head: &str, lines: usize) -> String {
        format!("{head}\n{}", "//\n".repeat(lines - 1))
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        for (head, lines, expected) in [
            ("//! Words.", 450, None),
            ("//! Words.", 451, Some("in its head: //! Length: …")),
            ("//! Length: ", 451, Some("in its head: //! Length: …")),
            ("//! Length: one table of all words.", 451, None),
            (
                "//\n//! Length: late.",
                450,
                Some("in its head: //! Length: …"),
            ),
        ] {
            let text = long(head, lines);
            let found = reported(&[("src/lib.rs", &text)]);
            match expected {
                None => assert_eq!(found, [""; 0], "{head}"),
                Some(expected) => {
                    assert_eq!(found.len(), 1, "{head}");
                    assert!(
                        found[0].starts_with("house/src/lib.rs: 451 lines; "),
                        "{found:?}"
                    );
                    assert!(found[0].ends_with(expected), "{found:?}");
                }
            }
        }
    }

    #[test]
    fn a_folder_is_measured_without_those_in_it() {
        let text = long("//! Words.", 400);
        let names: Vec<String> = (0..11).map(|number| format!("src/m{number}.rs")).collect();
        let mut files: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), text.as_str()))
            .collect();
        files[0].0 = "src/lib.rs";
        files[10].0 = "src/inner/mod.rs";
        assert_eq!(reported(&files), [""; 0]);
        files[10].0 = "src/tests.rs";
        assert_eq!(
            reported(&files),
            [
                "house/src: 4400 lines in its own files; move subjects into folders of their own \
              until there are at most 4000"
            ]
        );
    }
}
