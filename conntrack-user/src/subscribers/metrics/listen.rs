//! Where metrics are served.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use listenfd::ListenFd;
use rustix::io::Errno;

/// Where metrics are served, unless something else is asked for.
pub const DEFAULT: &str = "127.0.0.1:10917";

/// Clients that may wait until they are accepted.
const WAITING: i32 = 4096;

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Default for Listen {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 10917)))
    }
}

impl Listen {
    /// Reads what is written: `off`, `ADDRESS:PORT` or `unix:PATH`.
    ///
    /// # Errors
    ///
    /// What is to be given instead.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err("give the socket with its whole path, such as unix:/run/ctdrop/metrics".into())
            };
        }
        text.parse()
            .map(Self::Tcp)
            .map_err(|_| format!("give an address and a port such as {DEFAULT}, unix:PATH, or off"))
    }

    /// Opens it; nothing if it is off.
    ///
    /// # Errors
    ///
    /// Why nothing can be served there.
    pub fn open(&self) -> Result<Option<Listener>> {
        let listener = match self {
            Self::Off => return Ok(None),
            Self::Tcp(address) => bind_tcp(*address).map(Listener::Tcp),
            Self::Unix(path) => bind_unix(path)?.map(|listener| Listener::Unix {
                listener,
                path: Some(path.clone()),
            }),
        };
        let listener = listener.map_err(|error| {
            let hint = hint(&error);
            anyhow::Error::new(error).context(format!("cannot serve metrics on {self}{hint}"))
        })?;
        Ok(Some(listener))
    }

    /// Whether a listener is open at this address.
    fn is_at(&self, listener: &Listener) -> bool {
        match (self, listener) {
            (Self::Tcp(address), Listener::Tcp(listener)) => {
                listener.local_addr().is_ok_and(|there| there == *address)
            }
            (Self::Unix(path), Listener::Unix { listener, .. }) => listener
                .local_addr()
                .is_ok_and(|there| there.as_pathname() == Some(path)),
            _ => false,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The remedy for an error, if there is one.
fn hint(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::AFNOSUPPORT) => {
            " (the unit of the service allows no network: set ListenStream= with \"systemctl edit \
             ctdrop.socket\" instead)"
        }
        _ => "",
    }
}

/// An open socket.
#[derive(Debug)]
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix {
        /// It.
        listener: UnixListener,
        /// Its path, if ctdrop removes it at the end.
        path: Option<PathBuf>,
    },
}

impl Listener {
    /// The socket that the service manager has opened for this process
    /// (`sd_listen_fds(3)`), if there is one.
    ///
    /// # Errors
    ///
    /// It is not a listening socket.
    pub fn passed() -> Result<Option<Self>> {
        const WRONG: &str = "cannot use the socket of the service manager: set ListenStream= to \
                             an address and a port, or to a path";
        let mut sockets = ListenFd::from_env();
        if let Ok(listener) = sockets.take_tcp_listener(0) {
            return Ok(listener.map(Self::Tcp));
        }
        let listener = sockets.take_unix_listener(0).context(WRONG)?;
        Ok(listener.map(|listener| Self::Unix {
            listener,
            path: None,
        }))
    }

    /// The socket to serve on: the one that was asked for, else the one that was passed, else the
    /// default.
    ///
    /// # Errors
    ///
    /// See [`Listen::open`].
    pub fn choose(
        passed: Option<Self>,
        listen: &Listen,
        is_asked_for: bool,
    ) -> Result<Option<Self>> {
        match passed {
            Some(passed) if !is_asked_for || listen.is_at(&passed) => Ok(Some(passed)),
            _ => listen.open(),
        }
    }
}

/// Binds an address, with room for a burst of clients: the kernel ignores those that find
/// none, and they try again only after a second and more.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, WAITING)?;
    Ok(listener)
}

/// Binds a socket in the file system. One that nobody listens on any more is in the way,
/// and is removed; nothing else is.
fn bind_unix(path: &Path) -> Result<io::Result<UnixListener>> {
    if let Ok(there) = fs::symlink_metadata(path) {
        ensure!(
            there.file_type().is_socket(),
            "cannot serve metrics on unix:{}: that is there, and not a socket",
            path.display()
        );
        let is_left = UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        if is_left {
            fs::remove_file(path)
                .with_context(|| format!("cannot remove the old socket {}", path.display()))?;
        }
    }
    let bound = UnixListener::bind(path).and_then(|listener| {
        // Who may read the metrics is up to the group of the directory.
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        Ok(listener)
    });
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["off", DEFAULT, "[::1]:80", "unix:/run/ctdrop/metrics"] {
            assert_eq!(Listen::read(text).unwrap().to_string(), text);
        }
        assert_eq!(Listen::read(DEFAULT), Ok(Listen::default()));
        for wrong in ["", "localhost:80", "10917", "unix:here", "127.0.0.1"] {
            assert!(Listen::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn pods_use_the_same_port() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let pods = fs::read_to_string(root.join("packaging/kubernetes/ctdrop.yaml")).unwrap();
        let (_, port) = DEFAULT.split_once(':').unwrap();
        for line in [
            format!("prometheus.io/port: \"{port}\"\n"),
            format!("- 0.0.0.0:{port}\n"),
            format!("containerPort: {port}\n"),
        ] {
            assert!(pods.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_passed_socket_serves_unless_another_is_asked_for() {
        let passed = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            (Some(Listener::Tcp(listener)), address)
        };
        let address = |listener: Option<Listener>| match listener {
            Some(Listener::Tcp(listener)) => listener.local_addr().unwrap(),
            other => panic!("{other:?}"),
        };
        let (socket, at) = passed();
        let chosen = Listener::choose(socket, &Listen::default(), false).unwrap();
        assert_eq!(address(chosen), at);
        let (socket, at) = passed();
        let chosen = Listener::choose(socket, &Listen::Tcp(at), true).unwrap();
        assert_eq!(address(chosen), at);
        let (socket, at) = passed();
        let other = Listen::read("127.0.0.1:0").unwrap();
        let chosen = Listener::choose(socket, &other, true).unwrap();
        assert_ne!(address(chosen), at);
        let (socket, _) = passed();
        let chosen = Listener::choose(socket, &Listen::Off, true).unwrap();
        assert!(chosen.is_none());
    }

    #[test]
    fn the_unit_of_the_socket_has_the_default() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let unit = fs::read_to_string(root.join("packaging/systemd/ctdrop.socket")).unwrap();
        assert!(
            unit.contains(&format!("\nListenStream={DEFAULT}\n")),
            "{unit}"
        );
        assert!(unit.contains(&format!("\nBacklog={WAITING}\n")), "{unit}");
    }

    #[test]
    fn an_old_socket_is_removed_and_another_file_or_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics");
        let listen = Listen::Unix(path.clone());
        let first = listen.open().unwrap();
        assert!(first.is_some());
        let error = format!("{:#}", listen.open().unwrap_err());
        assert!(error.contains("in use"), "{error}");
        drop(first);
        assert!(path.exists());
        assert!(listen.open().unwrap().is_some());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        let error = listen.open().unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
    }
}
