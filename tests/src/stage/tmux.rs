//! A terminal for programs with a screen, by tmux.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long an Escape stands by itself.
const ESCAPE: Duration = Duration::from_millis(300);

/// A terminal that somebody types on.
#[derive(Debug)]
pub struct Tmux {
    place: TempDir,
}

impl Tmux {
    /// Starts a command of the shell on a terminal, which stays when that has ended.
    pub fn start(command: &str) -> Result<Self> {
        let place = tempfile::tempdir().context("cannot make a directory")?;
        let tmux = Self { place };
        let script = tmux.place.path().join("script");
        fs::write(&script, format!("{command}\nread end\n"))?;
        let shell = format!("sh {}", script.display());
        tmux.run(&["new-session", "-d", "-x", "80", "-y", "24", &shell])?;
        tmux.run(&["set-option", "-g", "status", "off"])?;
        Ok(tmux)
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(self.socket())
            .args(["-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .context("cannot run tmux: apt install tmux")?;
        if !output.status.success() {
            bail!(
                "tmux {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The process that runs on it.
    pub fn pid(&self) -> Result<i32> {
        let shell = self.run(&["display-message", "-p", "#{pane_pid}"])?;
        let shell = shell.trim();
        let path = format!("/proc/{shell}/task/{shell}/children");
        let children = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let first = children.split_whitespace().next();
        Ok(first.context("nothing runs in tmux")?.parse()?)
    }

    /// Presses keys, as tmux names them.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.run(&[&["send-keys"], keys].concat())?;
        if keys.contains(&"Escape") {
            // With what comes at once it would be another key.
            thread::sleep(ESCAPE);
        }
        Ok(())
    }

    /// Gives the terminal another size.
    pub fn resize(&self, width: usize, height: usize) -> Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-x", &width, "-y", &height])
            .map(drop)
    }

    /// All that is seen, line by line.
    pub fn seen(&self) -> Result<Vec<String>> {
        let text = self.run(&["capture-pane", "-p"])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The same with colours: escape sequences of ANSI.
    pub fn seen_in_colour(&self) -> Result<String> {
        self.run(&["capture-pane", "-e", "-p"])
    }

    /// Waits until a text is seen; all that is seen then.
    pub fn wait_for(&self, text: &str) -> Result<Vec<String>> {
        let began = Instant::now();
        loop {
            let seen = self.seen()?;
            if seen.iter().any(|line| line.contains(text)) {
                return Ok(seen);
            }
            ensure!(began.elapsed() < PATIENCE, "no {text:?} in {seen:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Also ends what runs in it.
        let _ = self.run(&["kill-server"]);
    }
}
