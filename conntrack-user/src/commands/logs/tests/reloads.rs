//! Loads of the module: which of them reset the limit.

use super::{gzip, in_2012, read, read_files};

const LOAD: &str = "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)";

fn reloads(text: &str) -> Vec<bool> {
    let in_memory = read(text);
    // A stream finds the starts of the kernel in another way.
    let (streamed, _) = read_files(&[("messages.gz", &gzip(text))], &in_2012());
    assert_eq!(in_memory["module_loads"], streamed["module_loads"]);
    in_memory["module_loads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|load| load["reload"].as_bool().unwrap())
        .collect()
}

#[test]
fn a_second_load_in_one_boot_is_a_reload() {
    let line = |text: &str| format!("Mar 12 10:00:01 gate kernel: {text}\n");
    let boot = line("Linux version 2.6.32-754.el6.x86_64 (mockbuild@builder)");
    let load = line(LOAD);
    assert_eq!(reloads(&format!("{boot}{load}{load}")), [false, true]);
    assert_eq!(reloads(&format!("{load}{boot}{load}")), [false, false]);
    let quoted = "Mar 12 10:00:01 gate sshd[1]: Invalid user kernel: Linux version 9\n";
    assert_eq!(reloads(&format!("{load}{quoted}{load}")), [false, true]);
    let at = |uptime: &str| line(&format!("[{uptime:>12}] {LOAD}"));
    assert_eq!(
        reloads(&format!("{}{}", at("15.360619"), at("900.000001"))),
        [false, true]
    );
    assert_eq!(
        reloads(&format!("{}{}", at("900.000001"), at("15.360619"))),
        [false, false]
    );
    let (report, text) = read_files(
        &[("messages", format!("{load}{load}").as_bytes())],
        &in_2012(),
    );
    assert!(
        text.contains("loaded AGAIN") && text.contains("the limit was reset"),
        "{text}"
    );
    assert!(
        report["advice"][0]["remedy"]
            .to_string()
            .contains(".nf_conntrack")
    );
}

#[test]
fn a_reload_is_seen_across_a_rotation_and_a_boot_hides_none() {
    let line = |text: &str| format!("Mar 12 10:00:01 gate kernel: {text}\n");
    let (load, boot) = (line(LOAD), line("Linux version 2.6.32"));
    let reload = |old: &str, new: &str| {
        let files = [("messages.1", old.as_bytes()), ("messages", new.as_bytes())];
        let (report, _) = read_files(&files, &in_2012());
        report["module_loads"][1]["reload"].as_bool().unwrap()
    };
    assert!(reload(&load, &load));
    assert!(!reload(&format!("{load}{boot}"), &load));
    assert!(!reload(&load, &format!("{boot}{load}")));
}
