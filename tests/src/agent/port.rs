//! The agent's end of the virtio port.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use super::message::PORT;

/// Where the kernel lists the ports, each with a file that has its name.
const PORTS: &str = "/sys/class/virtio-ports";

/// Opens the port.
pub(super) fn open() -> Result<File> {
    let path = device()?;
    let file = File::options().read(true).write(true).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// The device of the port, which the kernel numbers as it likes.
fn device() -> Result<PathBuf> {
    let ports = fs::read_dir(PORTS).with_context(|| format!("cannot read {PORTS}"))?;
    for port in ports {
        let port = port.with_context(|| format!("cannot read {PORTS}"))?;
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT {
            return Ok(PathBuf::from("/dev").join(port.file_name()));
        }
    }
    anyhow::bail!("no port {PORT} in {PORTS}")
}
