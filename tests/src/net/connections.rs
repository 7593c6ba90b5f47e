//! Connections that are in use: real ones, over loopback, each with a byte every
//! half second.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{netlink::check, netns::Netns};

/// Where they go.
const PORT: u16 = 7777;

/// Time between two bytes of a connection.
const PERIOD: Duration = Duration::from_millis(500);

/// Connections in use, until it is enough.
#[derive(Debug)]
pub struct Connections {
    enough: Arc<AtomicBool>,
    sender: JoinHandle<Result<()>>,
    /// The other ends, which read nothing: there is room for some thousand bytes.
    ends: Vec<TcpStream>,
}

impl Connections {
    /// Opens so many in a namespace, and uses them from now on.
    pub fn in_use(netns: &Netns, count: u16) -> Result<Self> {
        allow_descriptors(2 * libc::rlim_t::from(count) + 256)?;
        let (mut streams, ends) = netns.run(|| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
            let listener = TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address}"))?;
            let mut streams = Vec::new();
            let mut ends = Vec::new();
            for _ in 0..count {
                let stream = TcpStream::connect(address)
                    .with_context(|| format!("cannot connect to {address}"))?;
                stream.set_nodelay(true)?;
                streams.push(stream);
                ends.push(listener.accept()?.0);
            }
            Ok((streams, ends))
        })?;
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let sender = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let next = Instant::now() + PERIOD;
                for stream in &mut streams {
                    stream.write_all(b"x").context("a connection has ended")?;
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(())
        });
        Ok(Self {
            enough,
            sender,
            ends,
        })
    }

    /// Closes them; fails if one has ended before.
    pub fn end(self) -> Result<()> {
        self.enough.store(true, Ordering::Relaxed);
        let used = self.sender.join();
        drop(self.ends);
        used.map_err(|_| anyhow!("the thread that used the connections panicked"))?
    }
}

/// Allows this process so many open files; guests begin with 1,024.
fn allow_descriptors(count: libc::rlim_t) -> Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes a `struct rlimit`, which `limit` is.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    check(got).context("cannot read how many files may be open")?;
    limit.rlim_cur = limit.rlim_cur.max(count);
    limit.rlim_max = limit.rlim_max.max(count);
    // SAFETY: the kernel reads a `struct rlimit`, which `limit` is.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    check(set)
        .map(drop)
        .with_context(|| format!("cannot allow {count} open files"))
}
