//! Chromium without a screen, driven over the pipe of its `DevTools` protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = "chromium";

/// Whether it is installed.
pub(crate) fn is_installed() -> bool {
    Command::new(PROGRAM)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    next: u64,
    session: Option<String>,
    /// What it has told by itself.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; everything it keeps is in a directory of its own.
    pub(crate) fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (to, from) = (profile.path().join("to"), profile.path().join("from"));
        for pipe in [&to, &from] {
            make_pipe(pipe)?;
        }
        // The shell gives it the pipes as 3 and 4. Each end waits for the other one.
        let child = Command::new("sh")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "sh"])
            .args([&to, &from])
            .arg(PROGRAM)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("user").display()
            ))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start chromium")?;
        let to = OpenOptions::new().write(true).open(&to)?;
        let from = BufReader::new(File::open(&from)?);
        let mut browser = Self {
            child,
            to,
            from,
            next: 0,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        let targets = browser.call("Target.getTargets", &json!({}))?;
        let page = targets["targetInfos"].as_array().into_iter().flatten();
        let page = page.into_iter().find(|target| target["type"] == "page");
        let id = page.context("chromium has no page")?["targetId"].clone();
        let attached = browser.call(
            "Target.attachToTarget",
            &json!({"targetId": id, "flatten": true}),
        )?;
        browser.session = attached["sessionId"].as_str().map(ToOwned::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// Calls a method, and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(message.to_string().as_bytes())?;
        self.to.write_all(&[0])?;
        loop {
            let answer = self.read()?;
            if answer["id"] == id {
                ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].clone());
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes)?;
        if bytes.pop() != Some(0) {
            bail!("chromium has ended");
        }
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) -> Result<()> {
        let seen = self.events.len();
        self.call("Page.navigate", &json!({"url": url}))?;
        let loaded = |events: &[Value]| {
            let mut events = events.iter();
            events.any(|event| event["method"] == "Page.loadEventFired")
        };
        while !loaded(&self.events[seen..]) {
            let event = self.read()?;
            self.events.push(event);
        }
        Ok(())
    }

    /// The value of a JavaScript expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", &params)?;
        ensure!(
            result["exceptionDetails"].is_null(),
            "{expression}: {}",
            result["exceptionDetails"]
        );
        Ok(result["result"]["value"].clone())
    }

    /// What it has told by itself, of that kind.
    pub(crate) fn told(&self, method: &str) -> Vec<&Value> {
        let events = self.events.iter();
        events
            .filter(|event| event["method"] == method)
            .map(|event| &event["params"])
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_pipe(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends with a zero and lives until mkfifo returns.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    ensure!(made == 0, "cannot make {}", path.display());
    Ok(())
}
