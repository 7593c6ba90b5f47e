//! What packages bring for other programs, judged by these: the rules by promtool, the
//! dashboard by the models that Grafana publishes, the `DaemonSet` by the schemas of
//! Kubernetes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use ctdrop_tests::vm::{python, unpacked};
use libtest_mimic::{Arguments, Failed, Trial};

/// The release whose Prometheus judges, and its package.
const PROMETHEUS: (&str, &str) = ("bookworm", "prometheus");

/// Packages of Python, each with its version.
const GRAFANA: (&str, &str) = ("grafana-foundation-sdk", "1769699998!10.1.0");
const KUBERNETES: (&str, &str) = ("kubernetes-validate", "1.37.0");

/// Versions of Kubernetes, among them the first that reads `appArmorProfile`.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (some, all) = (
        env::var_os("CTDROP_BIN").is_some(),
        env::var_os("CTDROP_ALL").is_some(),
    );
    let run = "run `cargo xtask test`";
    let trials = vec![
        trial("rules::check", some, run, || {
            promtool(&["check", "rules"], "ctdrop.rules.yml")
        }),
        trial("rules::test", some, run, || {
            promtool(&["test", "rules"], "ctdrop.rules.test.yml")
        }),
        trial("dashboard", all, "set CTDROP_ALL: it needs pip", dashboard),
        trial("daemonset", all, "set CTDROP_ALL: it needs pip", daemonset),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial, or one that only says why it does not run.
fn trial(name: &str, runs: bool, why_not: &str, judge: fn() -> Result<()>) -> Trial {
    let trial = Trial::test(name, move || {
        judge().map_err(|error| Failed::from(format!("{error:#}")))
    });
    if runs {
        trial
    } else {
        trial
            .with_kind(format!("skipped: {why_not}"))
            .with_ignored_flag(true)
    }
}

/// A file of `packaging/`.
fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(file)
}

/// Runs a program; gives whether it accepts, and what it says.
fn judged(command: &mut Command) -> Result<(bool, String)> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// Demands that a program accepts the file as it is, and not after a change for the worse.
fn demand(
    file: &Path,
    worse: (&str, &str),
    judge: impl Fn(&Path) -> Result<(bool, String)>,
) -> Result<()> {
    let (accepted, said) = judge(file)?;
    ensure!(accepted, "{}: {said}", file.display());
    let text = fs::read_to_string(file)?;
    let changed = text.replacen(worse.0, worse.1, 1);
    ensure!(changed != text, "{} has no {}", file.display(), worse.0);
    let name = file.file_name().context("a file has a name")?;
    let directory = tempfile::tempdir()?;
    // Beside the files that it may name.
    for beside in file
        .parent()
        .context("a file has a directory")?
        .read_dir()?
    {
        let beside = beside?;
        fs::copy(beside.path(), directory.path().join(beside.file_name()))?;
    }
    let copy = directory.path().join(name);
    fs::write(&copy, changed)?;
    let (accepted, said) = judge(&copy)?;
    ensure!(!accepted, "{} is accepted: {said}", worse.1);
    Ok(())
}

fn promtool(task: &[&str], file: &str) -> Result<()> {
    let program = unpacked::provide(PROMETHEUS.0, PROMETHEUS.1)?.join("usr/bin/promtool");
    let file = packaging("prometheus").join(file);
    let worse = match task {
        ["check", ..] => ("sum by (job, instance)", "sum bye (job, instance)"),
        _ => (
            "instance: fw1\n              severity: critical",
            "instance: fw9\n              severity: critical",
        ),
    };
    demand(&file, worse, |file| {
        judged(Command::new(&program).args(task).arg(file))
    })
}

fn dashboard() -> Result<()> {
    let packages = python::provide(GRAFANA.0, GRAFANA.1)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging/dashboard.py");
    let file = packaging("grafana/ctdrop.json");
    demand(&file, ("\"colorMode\"", "\"colourMode\""), |file| {
        judged(python::command(&packages).arg(&script).arg(file))
    })
}

fn daemonset() -> Result<()> {
    let packages = python::provide(KUBERNETES.0, KUBERNETES.1)?;
    let file = packaging("kubernetes/ctdrop.yaml");
    VERSIONS.iter().try_for_each(|version| {
        demand(&file, ("hostPID:", "hostPid:"), |file| {
            let mut command = python::command(&packages);
            command.args(["-m", "kubernetes_validate", "--strict", "-k", version]);
            judged(command.arg(file))
        })
    })
}
