//! How fast `ctdrop logs` is, beside ripgrep and grep that count the lines.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

use crate::{
    build, cargo,
    host::{command, has},
    needs::Purpose,
    section::Section,
    setup,
};

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Size of each log, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    size: u64,

    /// Times that each is run, one after the other in turn; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u32,
}

/// What is searched for.
const NEEDLE: &str = "table full";

/// Lines between two about a full table, in the log that has some.
const EVERY: u64 = 1000;

/// A log to be searched.
struct Log {
    what: &'static str,
    path: PathBuf,
    hits: u64,
    bytes: u64,
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One way to search it.
struct Way {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    fastest: Duration,
    /// Of the fastest.
    processor: Duration,
    memory: u64,
}

/// Writes the logs, searches them, prints the ratios and takes the logs away.
pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::setup(Purpose::Build)?;
    if !has("rg")? {
        bail!(
            "the bench compares ctdrop with ripgrep, which is not installed: apt-get install ripgrep"
        );
    }
    let ctdrop = build::ctdrop()?;
    let mut text = heading(options)?;
    for (what, every) in [("no hit", None), ("a hit every 1,000 lines", Some(EVERY))] {
        let log = write_log(what, every, options.size << 20)?;
        let ways = measure(&ctdrop, &log, options.runs)?;
        text.push_str(&table(&log, &ways));
    }
    println!("{text}");
    Section::of_bench("logs").write(&text)
}

fn heading(options: &Options) -> Result<String> {
    let rg = version("rg")?;
    let grep = version("grep")?;
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(format!(
        "## Scanning logs\n\n\
         `cargo xtask bench logs`: logs of {} MiB in the page cache, {} runs of each command in \
         turn, the fastest counts; {rg}, {grep}, {cpus} processors. A ratio above 1 is faster than \
         `rg -c`. ctdrop also looks for suppressed messages, and parses the lines.\n\n",
        options.size, options.runs
    ))
}

fn version(program: &str) -> Result<String> {
    let output = command(program)?
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or(program).trim().to_owned())
}

/// A log as a busy host writes it: lines of many lengths by many programs.
fn write_log(what: &'static str, every: Option<u64>, size: u64) -> Result<Log> {
    let path = cargo::target()?.join("bench.log");
    let shown = path.display().to_string();
    let file = File::create(&path).with_context(|| format!("cannot write {shown}"))?;
    let mut log = Log {
        what,
        path,
        hits: 0,
        bytes: 0,
    };
    eprintln!("bench: writing {shown}: {} MiB, {what}", size >> 20);
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut lines = 0;
    while log.bytes < size {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        lines += 1;
        let hit = every.is_some_and(|every| lines % every == 0);
        log.hits += u64::from(hit);
        let line = line(lines, random, hit);
        log.bytes += line.len() as u64;
        out.write_all(line.as_bytes())
            .with_context(|| format!("cannot write {shown}"))?;
    }
    out.flush()
        .with_context(|| format!("cannot write {shown}"))?;
    Ok(log)
}

fn line(number: u64, random: u64, hit: bool) -> String {
    let second = number / 200;
    let time = format!(
        "Mar {:2} {:02}:{:02}:{:02} gate",
        1 + second / 86_400 % 28,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60
    );
    if hit {
        return format!(
            "{time} kernel: [{second:7}.{:06}] nf_conntrack: table full, dropping packet\n",
            random % 1_000_000
        );
    }
    let (a, b, c) = (random % 251, random / 251 % 251, random / 63_001 % 60_000);
    match random % 7 {
        0 => format!(
            "{time} sshd[{c}]: Accepted publickey for deploy from 10.{a}.{b}.7 port {c} ssh2: RSA SHA256:{random:x}\n"
        ),
        1 => format!("{time} systemd[1]: Started Session {c} of user deploy.\n"),
        2 => format!(
            "{time} haproxy[{a}]: 10.{a}.{b}.9:{c} [12/Mar/2026:13:40:34.{a:03}] www~ app/web{b} 0/0/{a}/{b}/{c} 200 {random} - - ---- 12/12/0/0/0 0/0 \"GET /shop/item/{random:x}?ref=mail HTTP/1.1\"\n"
        ),
        3 => format!(
            "{time} kernel: [{second:7}.{a:06}] IN=eth0 OUT= MAC=52:54:00:{a:02x}:{b:02x}:01 SRC=192.0.2.{a} DST=198.51.100.{b} LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID={c} DF PROTO=TCP SPT={c} DPT=443 WINDOW=29200 RES=0x00 SYN URGP=0\n"
        ),
        4 => {
            format!("{time} CRON[{c}]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)\n")
        }
        5 => format!(
            "{time} named[{a}]: client @0x{random:x} 10.{a}.{b}.3#{c} (host{b}.example.com): query: host{b}.example.com IN A +E(0)K (10.0.0.53)\n"
        ),
        _ => format!(
            "{time} app[{c}]: level=info msg=\"request handled\" path=/api/v1/order/{c} status=200 bytes={random} duration={a}.{b}ms trace={random:016x}\n"
        ),
    }
}

fn measure(ctdrop: &Path, log: &Log, runs: u32) -> Result<Vec<Way>> {
    let path = log.path.display().to_string();
    let way = |name: &str, program: &Path, arguments: &[&str]| Way {
        name: name.to_owned(),
        program: program.to_owned(),
        arguments: arguments
            .iter()
            .copied()
            .chain([path.as_str()])
            .map(str::to_owned)
            .collect(),
        fastest: Duration::MAX,
        processor: Duration::ZERO,
        memory: 0,
    };
    let logs = ["logs", "-o", "json", "--year", "2026"];
    let one = ["logs", "-o", "json", "--year", "2026", "--threads", "1"];
    let mut ways = vec![
        way("`rg -c 'table full'`", Path::new("rg"), &["-c", NEEDLE]),
        way("`grep -c 'table full'`", Path::new("grep"), &["-c", NEEDLE]),
        way("`ctdrop logs --threads 1`", ctdrop, &one),
        way("`ctdrop logs`", ctdrop, &logs),
    ];
    // Once before, so that the log is in memory.
    io::copy(&mut File::open(&log.path)?, &mut io::sink())?;
    for _ in 0..runs {
        for way in &mut ways {
            run(way, log)?;
        }
    }
    Ok(ways)
}

fn run(way: &mut Way, log: &Log) -> Result<()> {
    let mut command = Command::new(&way.program);
    command
        .args(&way.arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdout(Stdio::piped());
    let begin = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", way.program.display()))?;
    let mut text = String::new();
    if let Some(output) = &mut child.stdout {
        output.read_to_string(&mut text)?;
    }
    let usage = child
        .wait4()
        .with_context(|| format!("cannot wait for {}", way.program.display()))?
        .rusage;
    let took = begin.elapsed();
    let counted: u64 = match text.split_once("\"lines\":") {
        Some((_, rest)) => rest.split(',').next().unwrap_or_default().parse()?,
        // rg says nothing if there is nothing.
        None => text.trim().parse().unwrap_or(0),
    };
    if counted != log.hits {
        bail!("{} counted {counted} of {} lines", way.name, log.hits);
    }
    way.memory = way.memory.max(usage.maxrss);
    if took < way.fastest {
        way.fastest = took;
        way.processor = usage.utime + usage.stime;
    }
    Ok(())
}

fn table(log: &Log, ways: &[Way]) -> String {
    let mut text = format!(
        "A log with {}:\n\n| command | GB/s | ratio | processor time, ratio | memory, MiB |\n\
         | --- | --- | --- | --- | --- |\n",
        log.what
    );
    let base = &ways[0];
    for way in ways {
        let row = format!(
            "| {} | {:.2} | {:.2} | {:.2} | {} |\n",
            way.name,
            rate(log.bytes, way.fastest),
            base.fastest.as_secs_f64() / way.fastest.as_secs_f64(),
            base.processor.as_secs_f64() / way.processor.as_secs_f64(),
            way.memory >> 20,
        );
        text.push_str(&row);
    }
    text.push('\n');
    text
}

/// Gigabytes a second.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e9 / time.as_secs_f64()
}
