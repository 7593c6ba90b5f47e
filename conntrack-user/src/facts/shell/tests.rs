//! Values of variables, as bash has them.

use proptest::prelude::*;

use super::*;

const LIST: &str = "IPTABLES_SYSCTL_LOAD_LIST";

fn value(text: &str) -> Option<String> {
    Fragment::parse(text).value(LIST).text().map(str::to_owned)
}

/// The line because of which the value is unknown.
fn unknown(text: &str) -> Option<u32> {
    match Fragment::parse(text).value(LIST) {
        Value::Unknown(source) => Some(source.line),
        Value::Text(..) | Value::Unset => None,
    }
}

#[test]
fn the_last_assignment_counts() {
    let text = format!("{LIST}=\".ip_conntrack\"\n# {LIST}=no\nOTHER=1\n{LIST}='.nf_conntrack'\n");
    let Value::Text(last, source) = Fragment::parse(&text).value(LIST) else {
        panic!("it is known");
    };
    assert_eq!(last, ".nf_conntrack");
    assert_eq!(source.line, 4);
    assert_eq!(source.text, format!("{LIST}='.nf_conntrack'"));
}

#[test]
fn quotes_comments_and_lines_that_go_on() {
    for (right, expected) in [
        ("\".nf_conntrack .bridge-nf\"", ".nf_conntrack .bridge-nf"),
        (".nf_conntrack # bare", ".nf_conntrack"),
        ("\"\"", ""),
        ("", ""),
        (".a'.b'\".c\"", ".a.b.c"),
        ("\".a\\\n.b\"", ".a.b"),
        (".a\\\n.b", ".a.b"),
        ("\"a\\\"b\\c\"", "a\"b\\c"),
        ("a\\ b; OTHER=2", "a b"),
        ("a#b", "a#b"),
        ("$'.a\\t.b'", ".a\t.b"),
        ("\".a\n.b\"", ".a\n.b"),
        // The carriage return is a part of the value.
        ("\".a\"\r", ".a\r"),
    ] {
        assert_eq!(
            value(&format!("{LIST}={right}\n")).as_deref(),
            Some(expected),
            "{right}"
        );
    }
    assert_eq!(
        value(&format!("export {LIST}=x OTHER\n")).as_deref(),
        Some("x")
    );
    assert_eq!(value(&format!("true; {LIST}=x")).as_deref(), Some("x"));
}

#[test]
fn a_name_that_is_not_known_may_be_empty_before_exit() {
    for text in ["$B''exit 0", "$B exit", "$B\"\"return", "$B exec x"] {
        assert_eq!(unknown(&format!("{text}\n{LIST}=v\n")), Some(1), "{text}");
    }
    assert_eq!(
        value(&format!("$B -A exit\n{LIST}=v\n")).as_deref(),
        Some("v")
    );
}

#[test]
fn a_function_with_the_name_of_an_assignment_is_an_error() {
    assert_eq!(
        unknown(&format!("OTHER=f() {{\n:\n}}\n{LIST}=v\n")),
        Some(1)
    );
}

#[test]
fn what_surely_happens_is_followed() {
    for text in [
        "[ -n x ] && LIST=v",
        "false || LIST=v",
        "{ LIST=v; }",
        "if [ a = a ]; then LIST=v; else LIST=w; fi",
        "if [ a = b ]; then LIST=w; elif true; then LIST=v; fi",
        "case x in y) LIST=w;; x|z) LIST=v;; esac",
        "case x in y) LIST=w;; *) LIST=v;; esac",
        "f() { LIST=v; }\nf",
        "f() { LIST=$1; }\nf v w",
        "f() { return; LIST=w; }\nLIST=v\nf",
        "f() { local LIST=w; }\nLIST=v\nf",
        "LIST=.\nLIST=v\nf() { LIST=w; }",
        "LIST=\nLIST+=v",
        "X=v; LIST=$X",
        "X=v; LIST=\"${X}\"",
        "X=; LIST=${X:-v}",
        "X=w; LIST=${X:+v}",
        "X=v; LIST=${X:=w}",
        "readonly LIST=v",
        "LIST=v; export LIST",
        "LIST=v\nreturn 0\nLIST=w",
        "LIST=v; (LIST=w); LIST=w | true; LIST=w &",
        "cat <<EOF\nLIST=w\nEOF\nLIST=v",
        "for x in a v; do LIST=$x; done",
        "LIST=v\nwhile false; do LIST=w; done",
        "LIST=w command && unknown; LIST=v",
        "LIST=`echo v`",
        "LIST=$(printf '%s\\n' v)",
        "LIST=w; unset LIST; LIST=v",
        "[[ a == a ]] && LIST=v",
    ] {
        let text = text.replace("LIST", LIST);
        assert_eq!(value(&text).as_deref(), Some("v"), "{text}");
    }
    for unset in [
        "LIST=v; unset LIST",
        "f() { LIST=v; }",
        "(LIST=v)",
        "return\nLIST=v",
    ] {
        let text = unset.replace("LIST", LIST);
        assert_eq!(Fragment::parse(&text).value(LIST), Value::Unset, "{text}");
    }
}

#[test]
fn what_only_the_shell_can_tell_is_not_told() {
    for text in [
        "\nLIST=\"$OTHER\"",
        "\nLIST=$(unknown a b)",
        "\nLIST=`unknown a b`",
        "\nLIST+=\" .nf\"",
        "\nif [ -f /x ]; then LIST=x; fi",
        "\nunknown && LIST=x",
        "\n[ -f /x ] && LIST=x",
        "\nLIST=(x y)",
        "\nunknown &&\\\nLIST=x",
        "LIST=x\n: ${LIST:?}; eval LIST=y",
        "LIST=x\n. /other/file",
        "LIST=x\nsource other",
        "LIST=x\nexit 0",
        "LIST=x\nif [ -f /x ]; then exit 0; fi",
        "LIST=x\nread LIST",
        "LIST=x\n$UNKNOWN LIST=y",
        "LIST=x\n${LIST:+eval} LIST=y",
        "LIST=x\nLIST=${OTHER:-y}",
        "LIST=x\nLIST=$((1+1))",
        "LIST=x\nlet LIST=1",
        "LIST=x\nprintf -v LIST y",
        "LIST=x\nreadonly LIST; LIST=y",
        "readonly LIST=x\nLIST=y unknown",
        "LIST=x; set -e\n[ -n \"$OTHER\" ] && return",
        "LIST=x\n: $((LIST=3))",
        "\nLIST=y\u{fffd}",
        "LIST=x\nif true; then",
        "LIST=x\n\0",
        "LIST=x\nLIST=\"y",
    ] {
        let text = text.replace("LIST", LIST);
        assert_eq!(value(&text), None, "{text}");
        assert_eq!(unknown(&text), Some(2), "{text}");
    }
    assert_eq!(
        value(&format!("if true; then A=1; fi\n{LIST}=x")).as_deref(),
        Some("x"),
        "what comes after a condition is none"
    );
    assert_eq!(
        value(&format!("# caf\u{fffd}\n{LIST}=x")).as_deref(),
        Some("x"),
        "comments in Latin-1 do no harm"
    );
}

#[test]
fn what_only_bash_has_is_not_told_of_another_shell() {
    for text in [
        "LIST=$'v'",
        "LIST=\nLIST+=v",
        "[[ a == a ]] && LIST=v",
        "X=(a)\nLIST=v",
    ] {
        let text = text.replace("LIST", LIST);
        let fragment = Fragment::parse_as(&text, Dialect::Sh);
        assert!(matches!(fragment.value(LIST), Value::Unknown(_)), "{text}");
    }
}

#[test]
fn curly_quotes_lose_a_list_silently() {
    // Seen with bash: the second word is run as a command, which is not
    // found, and the variable is set for that command only.
    let fragment = Fragment::parse(&format!("{LIST}=”.ip_conntrack .bridge-nf”\n"));
    assert_eq!(fragment.value(LIST), Value::Unset);
    assert_eq!(fragment.lost(LIST).unwrap().line, 1);
    assert_eq!(fragment.look_alikes.len(), 2);
    assert_eq!(
        fragment.look_alikes[0],
        LookAlike {
            line: 1,
            letter: '”'
        }
    );
    // A single word stays, with the quotes as a part of it.
    let single = format!("{LIST}=”.ip_conntrack”");
    assert_eq!(value(&single).as_deref(), Some("”.ip_conntrack”"));
    assert_eq!(Fragment::parse("# “comment”\n").look_alikes, []);
}

#[test]
fn what_would_harm_the_parser_is_not_given_to_it() {
    for text in [
        "echo 9".repeat(3) + "99999999999999>x",
        "(".repeat(5000),
        "{ ".repeat(5000),
        "if true; then ".repeat(5000),
        "$(".repeat(5000),
        "`".repeat(5000),
        "a".repeat(300_000),
    ] {
        let text = format!("{LIST}=x\n{text}");
        assert_eq!(value(&text), None);
    }
    assert_eq!(
        value(&format!("f() {{ f; }}\n{LIST}=x\nf")),
        None,
        "it never ends"
    );
    let endless = "for a in 1 2 3 4 5 6 7 8; do ".repeat(8) + ":" + &"; done".repeat(8);
    assert_eq!(value(&format!("{LIST}=x\n{endless}")), None);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "([A-Z]{1,3}=|[\"'\\\\$`#;&|(){}\n \t]|if |fi|“|\\PC){0,40}") {
        let fragment = Fragment::parse(&text);
        if let Some(source) = fragment.value("A").source() {
            prop_assert!(source.line as usize <= text.split('\n').count());
        }
    }

    #[test]
    fn what_is_quoted_is_read(value in "\\PC{0,20}", lines in 0_u32..4) {
        let value = value.replace(['\'', '\u{fffd}'], "");
        let text = format!("{}A='{value}'\n", "\n".repeat(lines as usize));
        let Value::Text(found, source) = Fragment::parse(&text).value("A") else {
            return Err(TestCaseError::fail(text));
        };
        prop_assert_eq!(found, value);
        prop_assert_eq!(source.line, lines + 1);
    }
}
