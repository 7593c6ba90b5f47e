//! A client, a firewall with conntrack, and a server that never answers.
//!
//! ```text
//! sender namespace                    firewall namespace
//!   client 10.0.0.2/8        --veth--   lan 10.0.0.1/8, fd00::1/64
//!   server 172.16.0.2/24     --veth--   wan 172.16.0.1/24, fd01::1/64
//! ```
//!
//! The firewall forwards what it receives on `lan` out of `wan`. The sender
//! owns neither server address nor IPv6, so nothing ever comes back, and it
//! sends nothing of its own: the only packets are those of the test.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use anyhow::Result;

use super::{netns::Netns, tuple::Family};

/// Ethernet address of the sender's `client` interface.
pub(super) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Ethernet address of the firewall's `lan` interface.
pub(super) const LAN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Ethernet address of the sender's `server` interface.
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
/// Ethernet address of the firewall's `wan` interface.
const WAN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

/// What the firewall does besides tracking.
#[derive(Clone, Debug, Default)]
pub struct LanOptions {
    /// The conntrack zone of everything that passes; none is zone 0.
    pub zone: Option<u16>,
    /// Masquerade TCP and UDP behind the `wan` address, from these source
    /// ports only. Flows to one destination beyond the number of ports find
    /// none free and are refused as clashes whose loser is source-NATed.
    pub masquerade: Option<RangeInclusive<u16>>,
}

/// The two namespaces and the cables between them.
#[derive(Debug)]
pub struct Lan {
    /// Holds the far ends, `client` and `server`.
    pub sender: Netns,
    /// Holds `lan` and `wan` and tracks connections.
    pub firewall: Netns,
}

impl Lan {
    /// Makes the namespaces `NAME-sender` and `NAME-firewall`.
    pub fn create(name: &str, options: &LanOptions) -> Result<Self> {
        let lan = Self {
            sender: Netns::create(&format!("{name}-sender"))?,
            firewall: Netns::create(&format!("{name}-firewall"))?,
        };
        lan.silence()?;
        lan.connect("client", CLIENT_MAC, "lan", LAN_MAC)?;
        lan.connect("server", SERVER_MAC, "wan", WAN_MAC)?;
        lan.address()?;
        lan.firewall.nft(&ruleset(options))?;
        Ok(lan)
    }

    /// Takes all rules away, and with them the need for conntrack. Packets pass.
    pub fn forget_rules(&self) -> Result<()> {
        self.firewall.nft("flush ruleset")
    }

    /// Makes the rules of a plain firewall again.
    pub fn make_rules(&self) -> Result<()> {
        self.firewall.nft(&ruleset(&LanOptions::default()))
    }

    /// Where floods go: the silent server behind the firewall.
    pub const fn server(family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(172, 16, 0, 2)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2)),
        }
    }

    /// Stops both sides from sending anything by themselves, and from
    /// judging source addresses.
    fn silence(&self) -> Result<()> {
        for interface in ["all", "default"] {
            let set = |name: &str, value| {
                let name = name.replace('*', interface);
                self.firewall.set_sysctl(&name, value)
            };
            set("net.ipv4.conf.*.rp_filter", "0")?;
            set("net.ipv4.conf.*.send_redirects", "0")?;
            set("net.ipv6.conf.*.forwarding", "1")?;
            set("net.ipv6.conf.*.accept_dad", "0")?;
            let disable = format!("net.ipv6.conf.{interface}.disable_ipv6");
            self.sender.set_sysctl(&disable, "1")?;
        }
        self.firewall.set_sysctl("net.ipv4.ip_forward", "1")
    }

    /// Lays a cable from `far`, on the sender's side, to `near`.
    fn connect(&self, far: &str, far_mac: [u8; 6], near: &str, near_mac: [u8; 6]) -> Result<()> {
        let (far_mac, near_mac) = (mac(far_mac), mac(near_mac));
        let firewall = self.firewall.name();
        self.sender.ip(&format!(
            "link add {far} address {far_mac} type veth \
             peer name {near} address {near_mac} netns {firewall}"
        ))?;
        for (netns, name) in [(&self.sender, far), (&self.firewall, near)] {
            // No link-local address: no multicast reports.
            netns.ip(&format!(
                "link set {name} addrgenmode none
                link set {name} up"
            ))?;
        }
        Ok(())
    }

    /// Gives addresses, neighbours and the default routes.
    fn address(&self) -> Result<()> {
        let (client, lan, server) = (mac(CLIENT_MAC), mac(LAN_MAC), mac(SERVER_MAC));
        self.sender.ip(&format!(
            "address add 10.0.0.2/8 dev client
            neigh add 10.0.0.1 lladdr {lan} dev client"
        ))?;
        self.firewall.ip(&format!(
            "address add 10.0.0.1/8 dev lan
            address add 172.16.0.1/24 dev wan
            address add fd00::1/64 dev lan nodad
            address add fd01::1/64 dev wan nodad
            neigh add 10.0.0.2 lladdr {client} dev lan
            neigh add 172.16.0.2 lladdr {server} dev wan
            neigh add fd01::2 lladdr {server} dev wan
            route add 0.0.0.0/0 via 172.16.0.2
            route add ::/0 via fd01::2"
        ))
    }
}

/// An Ethernet address as `ip` reads it.
fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// The firewall's rules; the use of `ct state` is what starts conntrack.
fn ruleset(options: &LanOptions) -> String {
    let mut rules = "table inet firewall {
        chain forward {
            type filter hook forward priority filter
            ct state { new, established, invalid } counter
        }
    "
    .to_owned();
    if let Some(zone) = options.zone {
        for hook in ["prerouting", "output"] {
            let _ = writeln!(
                rules,
                "chain zone_{hook} {{ type filter hook {hook} priority raw; ct zone set {zone}; }}"
            );
        }
    }
    if let Some(ports) = &options.masquerade {
        let (first, last) = (ports.start(), ports.end());
        let _ = writeln!(
            rules,
            "chain nat {{ type nat hook postrouting priority srcnat; \
             oifname wan meta l4proto {{ tcp, udp }} masquerade to :{first}-{last}; }}"
        );
    }
    rules.push('}');
    rules
}
