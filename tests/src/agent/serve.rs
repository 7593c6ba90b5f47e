//! The agent: a service of the guest's systemd that does what the host asks.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    firewall::Firewall,
    message::{Answer, Ended, Request},
    port,
};
use crate::net::{Conntrack, Netns};

/// Answers requests until the port closes.
pub fn serve() -> Result<()> {
    let mut out = port::open()?;
    let requests = BufReader::new(out.try_clone().context("cannot share the port")?);
    send(&mut out, &Answer::Ready { state: booted()? })?;
    let mut agent = Agent::default();
    for line in requests.lines() {
        let request = line.context("cannot read from the port")?;
        let answer = serde_json::from_str(&request)
            .context("not a request")
            .and_then(|request| agent.answer(request))
            .unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        send(&mut out, &answer)?;
    }
    Ok(())
}

/// Waits until systemd has nothing more to start, and returns how it then is.
fn booted() -> Result<String> {
    let mut wait = Command::new("systemctl");
    // Its exit code says the same as the word it prints.
    let output = wait.args(["is-system-running", "--wait"]).output();
    let output = output.context("cannot run systemctl")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What lasts from one request to the next.
#[derive(Debug, Default)]
struct Agent {
    /// The firewall, from its making until it is to go.
    firewall: Option<Firewall>,
    /// Other namespaces, until the end.
    tracked: Vec<Netns>,
}

impl Agent {
    /// Does what was asked for.
    fn answer(&mut self, request: Request) -> Result<Answer> {
        match request {
            Request::Run { command, input } => run(&command, input).map(Answer::Ended),
            Request::Write { path, content } => {
                if let Some(above) = Path::new(&path).parent() {
                    fs::create_dir_all(above)
                        .with_context(|| format!("cannot create {}", above.display()))?;
                }
                fs::write(&path, content).with_context(|| format!("cannot write {path}"))?;
                Ok(Answer::Written)
            }
            Request::Read { path } => {
                let content = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
                Ok(Answer::Content(content))
            }
            Request::FillTable => {
                // The one before it has the same names.
                self.firewall = None;
                let firewall = self.firewall.insert(Firewall::full()?);
                firewall.table().map(Answer::Table)
            }
            Request::Flood { flows } => {
                let firewall = self.firewall.as_mut().context("there is no firewall")?;
                firewall.flood(flows)?;
                firewall.table().map(Answer::Table)
            }
            Request::Track { netns, entries } => {
                let netns = Netns::create(&netns)?;
                let made = Conntrack::open(&netns)?.insert(entries)?;
                ensure!(made.refused.is_empty(), "not all were made: {made:?}");
                self.tracked.push(netns);
                Ok(Answer::Tracked)
            }
            Request::ForgetTable => {
                self.firewall = None;
                Ok(Answer::Forgotten)
            }
        }
    }
}

/// Runs a program to its end.
fn run(command: &[String], input: String) -> Result<Ended> {
    let (program, arguments) = command.split_first().context("no program to run")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let mut stdin = child.stdin.take().context("a child without stdin")?;
    // In a thread of its own: the program may write much before it reads. One that
    // does not want the input ends without it.
    let feed = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child
        .wait_with_output()
        .with_context(|| format!("cannot wait for {program}"))?;
    // It ends with the program, which had the only other end of the pipe.
    let _ = feed.join();
    Ok(Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Sends one answer.
fn send(out: &mut impl Write, answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer).context("cannot encode an answer")?;
    line.push(b'\n');
    out.write_all(&line).context("cannot write to the port")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a program of the shell with this input.
    fn shell(script: &str, input: &str) -> Ended {
        let command = ["sh", "-c", script].map(str::to_owned);
        run(&command, input.to_owned()).unwrap()
    }

    #[test]
    fn a_program_gets_its_input_and_gives_all_it_says() {
        let ended = shell("cat; echo problem >&2; exit 3", "text");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "text"));
        assert_eq!(ended.stderr, "problem\n");
    }

    #[test]
    fn a_program_that_reads_nothing_ends_too() {
        let much = "x".repeat(1 << 20);
        assert_eq!(shell("exit 0", &much).code, Some(0));
        assert_eq!(shell("kill -9 $$", "").code, None);
    }

    #[test]
    fn files_are_kept_to_the_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/new").display().to_string();
        let content = vec![0, 255, b'\n'];
        let write = Request::Write {
            path: path.clone(),
            content: content.clone(),
        };
        let mut agent = Agent::default();
        assert_eq!(agent.answer(write).unwrap(), Answer::Written);
        let read = Request::Read { path };
        assert_eq!(agent.answer(read).unwrap(), Answer::Content(content));
    }

    #[test]
    fn what_cannot_be_done_names_its_object() {
        let path = "/nonexistent/file".to_owned();
        let error = Agent::default()
            .answer(Request::Read { path })
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/file"), "{error}");
        let command = vec!["no-such-program".to_owned()];
        let input = String::new();
        let error = Agent::default()
            .answer(Request::Run { command, input })
            .unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
