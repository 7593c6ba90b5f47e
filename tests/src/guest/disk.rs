//! The first process of a guest that boots from a disk: mounts it, puts the
//! programs under test beside it in memory, and becomes the init it finds there.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{fs::chroot, process::CommandExt as _},
    path::Path,
    process::Command,
    ptr, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::stage::{
    attach, mount,
    places::{CTDROP_BESIDE_DISK, FILES},
};

/// Where the disk's file system is mounted before it becomes the root.
const ROOT: &str = "/sysroot";

/// How long the kernel may take to find the disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a kernel needs for disk and port; all of it may be built in.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "virtio_console", "ext4"];

/// Where it has the program of this crate.
pub const TESTS: &str = "/run/ctdrop-tests/ctdrop-tests";

/// The agent, as a service that systemd starts at each boot.
const SERVICE: &str = "\
[Unit]
Description=Agent of the tests
[Service]
Type=exec
ExecStart=/run/ctdrop-tests/ctdrop-tests agent
Environment=PATH=/run/ctdrop-tests:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=LC_ALL=C.UTF-8
TimeoutStopSec=5
";

/// Boots the system on the disk `device`, such as `/dev/vda`; returns only if it
/// cannot.
pub(super) fn enter(device: &str) -> Result<()> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place).with_context(|| format!("cannot create {place}"))?;
        mount(kind, place)?;
    }
    let status = Command::new("/sbin/modprobe")
        .arg("-a")
        .args(MODULES)
        .status();
    let status = status.context("cannot run modprobe")?;
    ensure!(status.success(), "modprobe cannot load all of {MODULES:?}");
    wait_for(device)?;
    fs::create_dir_all(ROOT).with_context(|| format!("cannot create {ROOT}"))?;
    attach(device, ROOT, "ext4", 0)?;
    if Path::new(FILES).exists() {
        copy_tree(Path::new(FILES), Path::new(ROOT))?;
    }
    provide_programs()?;
    switch_root()?;
    // systemd keeps the machine's parameters in mind, and mounts what is missing.
    let error = Command::new("/sbin/init").env_clear().exec();
    Err(error).context("cannot run /sbin/init of the disk")
}

/// Waits until the kernel has found a device.
fn wait_for(device: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !Path::new(device).exists() {
        ensure!(Instant::now() < deadline, "the kernel found no {device}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Copies the files below a directory, and makes the directories that are missing.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let to = to.join(path.file_name().context("an entry without a name")?);
        if path.is_dir() {
            copy_tree(&path, &to)?;
        } else {
            fs::copy(&path, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}

/// Puts programs and the service into the new root's /run, which systemd leaves as
/// it finds it.
fn provide_programs() -> Result<()> {
    let run = format!("{ROOT}/run");
    attach("tmpfs", &run, "tmpfs", libc::MS_NOSUID | libc::MS_NODEV)?;
    for (from, to) in [("/bin/ctdrop", CTDROP_BESIDE_DISK), ("/init", TESTS)] {
        let to = format!("{ROOT}{to}");
        make_above(&to)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {from} to {to}"))?;
        // The initial file system stays in memory.
        fs::remove_file(from).with_context(|| format!("cannot remove {from}"))?;
    }
    let unit = format!("{run}/systemd/system/ctdrop-tests.service");
    make_above(&unit)?;
    fs::write(&unit, SERVICE).with_context(|| format!("cannot write {unit}"))?;
    let wanted = format!("{run}/systemd/system/multi-user.target.wants/ctdrop-tests.service");
    make_above(&wanted)?;
    std::os::unix::fs::symlink("../ctdrop-tests.service", &wanted)
        .with_context(|| format!("cannot create {wanted}"))
}

/// Makes the directories above a file.
fn make_above(path: &str) -> Result<()> {
    let above = Path::new(path).parent().context("a file without a name")?;
    fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))
}

/// Makes the disk the root of this process, and takes the kernel's file systems along.
fn switch_root() -> Result<()> {
    for place in ["/dev", "/proc", "/sys"] {
        move_mount(place, &format!("{ROOT}{place}"))?;
    }
    std::env::set_current_dir(ROOT).with_context(|| format!("cannot enter {ROOT}"))?;
    move_mount(".", "/")?;
    chroot(".").with_context(|| format!("cannot make {ROOT} the root"))?;
    std::env::set_current_dir("/").context("cannot enter the new root")
}

/// Moves a mounted file system to another place.
fn move_mount(from: &str, to: &str) -> Result<()> {
    let (source, target) = (CString::new(from)?, CString::new(to)?);
    // SAFETY: the pointers are strings that end with NUL and outlive the call;
    // MS_MOVE ignores type and data, for which mount(2) allows null pointers.
    let done = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            ptr::null(),
            libc::MS_MOVE,
            ptr::null(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).with_context(|| format!("cannot move {from} to {to}"))
    }
}
