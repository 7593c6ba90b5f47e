//! Whatever strings a record has: a page has only what its template makes, Markdown has
//! only text, and nothing has control characters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use pulldown_cmark::{Event, Options, Parser, Tag};
use scraper::{Html, Node};

use super::evidence;
use crate::report::{markdown::markdown, page::page, report};

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<script>alert(1)</script>".to_owned()),
        Just("\"><img src=x onerror=alert(1)>'".to_owned()),
        Just("</title></style></svg><iframe src='//x'>&lt;&#x3c;".to_owned()),
        Just("]]>--><!-- <![CDATA[".to_owned()),
        Just("a|b|c\n\n# head\n- item\n1. one\n> quote\n```\n~~~".to_owned()),
        Just(
            "[x](javascript:alert(1)) ![x](http://x) <http://x> http://x www.x.org a@b.org"
                .to_owned()
        ),
        Just("\\`*_**__[^1]: $$ `` <b>".to_owned()),
        Just("^up^ ~down~ ~~out~~ ==mark== H~2~O x^2^".to_owned()),
        Just("\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m".to_owned()),
        Just("'; DROP TABLE incidents; --".to_owned()),
        Just("\0a\0".to_owned()),
        Just("\u{202e}abc\u{2066}\u{200f}\u{feff}".to_owned()),
        Just("x".repeat(100_000)),
        Just("=====\n-----\n***".to_owned()),
        Just("    code\n\ttab".to_owned()),
        Just(String::new()),
        any::<String>(),
    ]
}

/// Each element of a page with the names of its attributes, and how often it is there.
fn elements(page: &str) -> BTreeMap<(String, BTreeSet<String>), usize> {
    let mut elements = BTreeMap::new();
    for node in Html::parse_document(page).tree.values() {
        match node {
            Node::Element(element) => {
                let attributes = element.attrs().map(|(name, _)| name.to_owned());
                let key = (element.name().to_owned(), attributes.collect());
                *elements.entry(key).or_default() += 1;
            }
            Node::Comment(comment) => panic!("a comment: {comment:?}"),
            _ => {}
        }
    }
    elements
}

fn has_controls(text: &str) -> bool {
    let hidden = |char: char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .any(|char| char.is_control() && char != '\n' || hidden(char))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_page_has_only_the_elements_of_its_template(texts in vec(hostile(), 60)) {
        let harmless: Vec<String> = (0..60).map(|place| format!("harmless{place}")).collect();
        let expected = elements(&page(&report(&evidence(&harmless), None)));
        let page = page(&report(&evidence(&texts), None));
        let found = elements(&page);
        // How many rows and lists there are depends on whether texts are alike.
        let kinds: BTreeSet<_> = expected.keys().collect();
        for element in found.keys() {
            prop_assert!(kinds.contains(element), "{element:?}");
        }
        for name in ["script", "img", "iframe", "style", "svg", "a", "meta"] {
            let count = |all: &BTreeMap<(String, BTreeSet<String>), usize>| -> usize {
                all.iter().filter(|((it, _), _)| it == name).map(|(_, count)| count).sum()
            };
            // A reason more or less is a chart more or less.
            let more = if name == "svg" { 2 } else { 0 };
            prop_assert!(count(&found).abs_diff(count(&expected)) <= more, "{name}");
        }
        prop_assert!(!has_controls(&page));
        prop_assert!(page.len() < 2_000_000, "{}", page.len());
    }

    #[test]
    fn markdown_has_only_text(texts in vec(hostile(), 60)) {
        let markdown = markdown(&report(&evidence(&texts), None));
        prop_assert!(!has_controls(&markdown));
        let mut headings = 0;
        let mut tables = 0;
        for event in Parser::new_ext(&markdown, Options::all()) {
            match event {
                Event::Start(Tag::Heading { .. }) => headings += 1,
                Event::Start(Tag::Table(_)) => tables += 1,
                Event::Start(
                    Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::TableHead | Tag::TableRow
                    | Tag::TableCell | Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented),
                )
                | Event::End(_) | Event::Text(_) | Event::SoftBreak => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        // The title, the sections, the incident, the fix.
        prop_assert_eq!(headings, 11);
        prop_assert_eq!(tables, 17);
        // In code nothing becomes a link.
        let text: Vec<&str> = markdown.lines().filter(|line| !line.starts_with("    ")).collect();
        let text = text.join("\n");
        for link in ["http://", "www.x", "a@b"] {
            prop_assert!(!text.contains(link), "{link}");
        }
    }

    #[test]
    fn json_is_the_model(texts in vec(hostile(), 60)) {
        let report = report(&evidence(&texts), None);
        let json = serde_json::to_string(&report).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&value["type"], "report");
        prop_assert_eq!(&value["incidents"][0]["netns_name"], &report.incidents[0].netns_name);
        prop_assert!(!json.chars().any(|char| char < ' '));
    }
}
