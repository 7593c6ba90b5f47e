//! What the service manager is told: that it observes, that it lives, that it ends; the
//! protocol is that of `sd_notify(3)`.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;

use crate::{
    engine::update::Update,
    say::{clock, number::counted},
    subscribers::{
        Subscriber,
        recording::{Recording, What},
    },
};

/// The service manager, if it wants to be told.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that has started this process.
    ///
    /// # Errors
    ///
    /// Its socket cannot be used.
    pub fn of_environment() -> io::Result<Self> {
        let variable = |name| env::var(name).ok();
        let Some(address) = variable("NOTIFY_SOCKET") else {
            return Ok(Self::default());
        };
        let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == process::id().to_string());
        let micros = variable("WATCHDOG_USEC").filter(|_| is_ours);
        let micros = micros.and_then(|micros| micros.parse().ok());
        Self::at(&address, micros.map(Duration::from_micros))
    }

    /// The one at this address, which begins with `@` if it is not in the file system. It
    /// ends what says nothing for as long as `watchdog`.
    ///
    /// # Errors
    ///
    /// Its socket cannot be used.
    pub fn at(address: &str, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        Ok(Self {
            socket: Some(Arc::new((UnixDatagram::unbound()?, address))),
            watchdog: watchdog.filter(|time| !time.is_zero()),
        })
    }

    /// How often it is to be told that this process lives: four times as often as it wants, so that
    /// loading the programs, which nothing interrupts, may take three quarters of this time.
    pub fn period(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 4)
    }

    /// Tells it.
    pub fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let (socket, address) = &**socket;
            // Whoever does not listen does not want to know.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }

    /// This process lives.
    pub fn ping(&self) {
        self.tell("WATCHDOG=1");
    }

    /// It reads its settings again; [`Self::reloaded`] follows.
    pub fn reloads(&self) {
        let now = clock::monotonic() / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// It has read them.
    pub fn reloaded(&self) {
        self.tell("READY=1");
    }

    /// It ends.
    pub fn stops(&self) {
        self.tell("STOPPING=1");
    }
}

/// Tells the service manager how it goes.
pub struct Service {
    manager: Manager,
    /// What it does.
    does: String,
    /// Open incidents.
    open: u64,
}

impl Service {
    /// Tells this one.
    pub const fn new(manager: Manager) -> Self {
        Self {
            manager,
            does: String::new(),
            open: 0,
        }
    }

    fn state(&self) -> String {
        let open = match self.open {
            0 => String::new(),
            some => format!("; {} open", counted(some, "incident")),
        };
        format!("STATUS={}{open}", self.does)
    }

    /// It does this from now on, which is what it was started for.
    fn ready(&mut self, does: String) {
        self.does = does;
        self.manager.tell(&format!("READY=1\n{}", self.state()));
    }
}

impl Subscriber for Service {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { .. } => self.ready("waits until conntrack is loaded".to_owned()),
            Update::Started(header) => self.ready(format!("observes by {}", header.backend)),
            _ => {}
        }
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        match recording.what {
            What::Opened(_) => self.open += 1,
            What::Closed(_) => self.open = self.open.saturating_sub(1),
            _ => return Ok(()),
        }
        self.manager.tell(&self.state());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a manager is told.
    struct Told {
        socket: UnixDatagram,
        _directory: tempfile::TempDir,
    }

    impl Told {
        fn new(watchdog: Option<Duration>) -> (Self, Manager) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            let timeout = Some(Duration::from_secs(20));
            socket.set_read_timeout(timeout).unwrap();
            let manager = Manager::at(path.to_str().unwrap(), watchdog).unwrap();
            let told = Self {
                socket,
                _directory: directory,
            };
            (told, manager)
        }

        fn next(&self) -> String {
            let mut buffer = [0; 512];
            let read = self.socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..read].to_vec()).unwrap()
        }
    }

    #[test]
    fn it_is_ready_once_it_waits_or_observes() {
        let (told, manager) = Told::new(None);
        let mut service = Service::new(manager.clone());
        let time = String::new();
        service.update(&Update::Waiting { time }).unwrap();
        assert_eq!(
            told.next(),
            "READY=1\nSTATUS=waits until conntrack is loaded"
        );
        manager.reloads();
        assert!(told.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        manager.reloaded();
        assert_eq!(told.next(), "READY=1");
        manager.stops();
        assert_eq!(told.next(), "STOPPING=1");
        assert_eq!(manager.period(), None);
    }

    #[test]
    fn it_is_told_four_times_as_often_as_it_wants() {
        let (told, manager) = Told::new(Some(Duration::from_secs(30)));
        assert_eq!(manager.period(), Some(Duration::from_millis(7500)));
        manager.ping();
        assert_eq!(told.next(), "WATCHDOG=1");
    }

    #[test]
    fn nobody_need_listen() {
        let manager = Manager::default();
        manager.ping();
        let gone = Manager::at("/nowhere/notify", None).unwrap();
        gone.stops();
        let (_, zero) = Told::new(Some(Duration::ZERO));
        assert_eq!(zero.period(), None);
    }
}
