//! How fast `ctdrop who --from` reads a saved table, beside awk that counts one
//! column of it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use wait4::Wait4 as _;

use crate::{build, cargo, needs::Purpose, section::Section, setup};

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Entries of the table, in millions; a million are about 150 MiB
    #[arg(long, value_name = "N", default_value_t = 7)]
    millions: u64,

    /// Times that each is run, one after the other in turn; the fastest counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u32,
}

/// What awk counts: entries by source.
const COUNT: &str = "{ c[$5]++ } END { for (k in c) print c[k], k }";

/// The saved table, which is taken away in the end.
struct Table {
    path: PathBuf,
    bytes: u64,
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One way to read it.
struct Way {
    name: &'static str,
    command: Vec<String>,
    fastest: Duration,
    /// Of the fastest.
    processor: Duration,
    memory: u64,
}

/// Writes a table, reads it, prints the ratios and takes the table away.
pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::setup(Purpose::Build)?;
    let ctdrop = build::ctdrop()?;
    let table = write(options.millions * 1_000_000)?;
    let ways = measure(&ctdrop, &table, options.runs)?;
    // Last, because a child begins with the most memory that its parent ever had.
    let memory = memory(&table)?;
    let text = section_text(options, &table, memory, &ways);
    println!("{text}");
    Section::of_bench("who-from").write(&text)
}

/// A table as `conntrack -L` writes it: half TCP connections of 5,000 clients, half
/// UDP from ever other sources.
fn write(entries: u64) -> Result<Table> {
    let path = cargo::target()?.join("bench.table");
    let shown = path.display().to_string();
    eprintln!("bench: writing {shown}");
    let file = File::create(&path).with_context(|| format!("cannot write {shown}"))?;
    let mut table = Table { path, bytes: 0 };
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut line = String::new();
    for number in 0..entries {
        line.clear();
        let (a, b, c) = (number >> 16 & 255, number >> 8 & 255, number & 255);
        let port = 1024 + number / 5000 % 60_000;
        if number % 2 == 0 {
            let client = number / 2 % 5000;
            let (high, low) = (client >> 8, client & 255);
            let left = 431_999 - number % 1000;
            writeln!(
                line,
                "tcp      6 {left} ESTABLISHED src=10.9.{high}.{low} dst=192.0.2.80 sport={port} \
                 dport=443 src=192.0.2.80 dst=10.9.{high}.{low} sport=443 dport={port} [ASSURED] \
                 mark=0 use=1"
            )?;
        } else {
            writeln!(
                line,
                "udp      17 {} src=11.{a}.{b}.{c} dst=192.0.2.53 sport={port} dport=53 [UNREPLIED] \
                 src=192.0.2.53 dst=11.{a}.{b}.{c} sport=53 dport={port} mark=0 use=1",
                number % 30
            )?;
        }
        out.write_all(line.as_bytes())
            .with_context(|| format!("cannot write {shown}"))?;
        table.bytes += line.len() as u64;
    }
    out.flush()
        .with_context(|| format!("cannot write {shown}"))?;
    Ok(table)
}

/// Bytes a second that one processor reads of memory that has the table.
fn memory(table: &Table) -> Result<f64> {
    let bytes = fs::read(&table.path)?;
    let begin = Instant::now();
    let mut sum = 0_u64;
    for chunk in bytes.as_chunks::<8>().0 {
        sum = sum.wrapping_add(u64::from_ne_bytes(*chunk));
    }
    let took = begin.elapsed();
    ensure!(std::hint::black_box(sum) != 0, "the table has no bytes");
    Ok(rate(table.bytes, took))
}

fn measure(ctdrop: &Path, table: &Table, runs: u32) -> Result<Vec<Way>> {
    let path = table.path.display().to_string();
    let ctdrop = ctdrop.display().to_string();
    let way = |name, command: &[&str]| Way {
        name,
        command: command.iter().map(|it| (*it).to_owned()).collect(),
        fastest: Duration::MAX,
        processor: Duration::ZERO,
        memory: 0,
    };
    let mut ways = vec![
        way("awk, entries by one column", &["awk", COUNT, &path]),
        way(
            "`ctdrop who --from`, one processor",
            &[
                "taskset", "-c", "0", &ctdrop, "who", "-o", "json", "--from", &path,
            ],
        ),
        way(
            "`ctdrop who --from`",
            &[&ctdrop, "who", "-o", "json", "--from", &path],
        ),
    ];
    // Once before, so that the table is in memory.
    io::copy(&mut File::open(&table.path)?, &mut io::sink())?;
    for _ in 0..runs {
        for way in &mut ways {
            run(way)?;
        }
    }
    Ok(ways)
}

fn run(way: &mut Way) -> Result<()> {
    let (program, arguments) = way.command.split_first().context("a way has a program")?;
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let ended = child
        .wait4()
        .with_context(|| format!("cannot wait for {program}"))?;
    let took = begin.elapsed();
    ensure!(ended.status.success(), "{program} failed: {}", ended.status);
    way.memory = way.memory.max(ended.rusage.maxrss);
    if took < way.fastest {
        way.fastest = took;
        way.processor = ended.rusage.utime + ended.rusage.stime;
    }
    Ok(())
}

fn section_text(options: &Options, table: &Table, memory: f64, ways: &[Way]) -> String {
    let mut text = format!(
        "{} million entries, {} MiB of `conntrack -L`, in the page \
         cache; {} runs of each command in turn, the fastest counts. awk counts entries by one \
         column; ctdrop adds all of the census up. One processor reads memory that has the table \
         at {memory:.1} GB/s; the aim is a third of that for each processor.\n\n\
         | command | GB/s | of memory | ratio to awk | processor time, ratio | memory, MiB |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        options.millions,
        table.bytes >> 20,
        options.runs
    );
    let base = &ways[0];
    for way in ways {
        let rate = rate(table.bytes, way.fastest);
        let row = format!(
            "| {} | {rate:.2} | {:.2} | {:.1} | {:.1} | {} |\n",
            way.name,
            rate / memory,
            base.fastest.as_secs_f64() / way.fastest.as_secs_f64(),
            base.processor.as_secs_f64() / way.processor.as_secs_f64(),
            way.memory >> 20,
        );
        text.push_str(&row);
    }
    text
}

/// Gigabytes a second.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e9 / time.as_secs_f64()
}
