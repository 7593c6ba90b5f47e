//! The live screen in tmux, while packets are refused: each key, three sizes, and the
//! totals at the end.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::golden;
use crate::{
    net::{Flood, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, Tmux, setup},
};

/// On machines that have tmux.
pub static SCREEN: Scenario = Scenario {
    name: "screen",
    about: "the live screen in tmux: keys, sizes, and exact totals of 100,000 flows",
    backends: Backend::ALL,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: screen,
};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn screen(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "screen", &LanOptions::default())?;
    let tmux = Tmux::start(&format!(
        "{} watch --netns {} {}; echo ended with $?",
        machine.ctdrop.display(),
        lan.firewall.name(),
        machine.arguments().join(" ")
    ))?;
    tmux.resize(80, 24)?;
    tmux.wait_for("quit")?;
    let flood = Flood {
        flows: 100_000,
        packets: 200_000,
        ..Flood::default()
    };
    let sent = flood.send(&lan)?;
    let refused = grouped(sent.delivered);
    let seen = tmux.wait_for(&refused)?;
    let line = |begin: &str| seen.iter().find(|line| line.starts_with(begin));
    for begin in ["refused", "table_full"] {
        let total = line(begin).with_context(|| format!("no line {begin} in {seen:#?}"))?;
        ensure!(total.contains(&refused), "not {refused}: {total}");
    }
    keys(&tmux)?;
    sizes(&tmux, &refused)?;
    tmux.press(&["q"])?;
    let seen = tmux.wait_for("ended with 0")?;
    let text = seen.join(" ");
    ensure!(
        text.contains(&format!("{refused} packets refused")),
        "{seen:#?}"
    );
    ensure!(text.contains("reconciled"), "{seen:#?}");
    Ok(())
}

/// What is seen after each key.
fn keys(tmux: &Tmux) -> Result<()> {
    for (keys, seen) in [
        (&["j", "j"][..], "flows by rate"),
        (&["s"], "flows by total"),
        (&["S"], "flows by total, reversed"),
        (&["b"], "sources by total"),
        (&["B"], "flows by total"),
        (
            &[
                "/", "1", "0", ".", "0", ".", "0", ".", "0", "/", "8", "Enter",
            ],
            "filter: 10.0.0.0/8",
        ),
        (&["Escape"], "flows by total"),
        (&["Tab"], " events "),
        (&["Tab"], "is full"),
        (&["w"], "FILLED BY"),
        (&["f"], "limit"),
        (&["Escape"], "flows by total"),
        (&["i"], "what is seen here"),
        (&["?"], "part of a name"),
        (&["Escape"], "flows by total"),
        (&["Space"], "PAUSED"),
        (&["Space"], "flows by total"),
        (&["c"], "copied the row"),
        (&["t"], "+00:00"),
        (&["C-l"], "quit"),
        (&["Tab"], "Esc back"),
        (&["Tab"], "is full"),
        (&["Escape"], "flows by total"),
    ] {
        tmux.press(keys)?;
        tmux.wait_for(seen)
            .with_context(|| format!("after {keys:?}"))?;
    }
    Ok(())
}

/// Other sizes show the same.
fn sizes(tmux: &Tmux, refused: &str) -> Result<()> {
    for (width, height) in [(200, 50), (60, 15), (20, 10), (80, 24)] {
        tmux.resize(width, height)?;
        let began = Instant::now();
        loop {
            let seen = tmux.seen()?;
            let differs = whole(&seen, height, refused)
                .and_then(|()| golden::compare(&format!("screen-{width}x{height}"), &seen));
            let Err(error) = differs else {
                println!("{width}×{height}:\n{}", seen.join("\n"));
                break;
            };
            if began.elapsed() >= PATIENCE {
                return Err(error.context(format!("{width}×{height}: {seen:#?}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Demands as many lines as there are, with the total and the keys.
fn whole(seen: &[String], height: usize, refused: &str) -> Result<()> {
    ensure!(seen.len() == height, "{} lines", seen.len());
    ensure!(seen[height - 1].starts_with("q quit"), "no line of keys");
    let total = seen
        .iter()
        .any(|line| line.starts_with("refused") && line.contains(refused));
    ensure!(total, "no total");
    Ok(())
}

/// A number as people read it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
