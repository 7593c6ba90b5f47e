//! The options that choose by address, the same for each command that has them.

use ipnet::IpNet;

use crate::{cli::values::network, table::filter::Family};

/// Options that choose by address.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Addresses {
    /// Only this source address or prefix, such as 192.0.2.1 or 10.0.0.0/8, of IPv4 or IPv6;
    /// in the original direction
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = network)]
    pub(super) src: Option<IpNet>,

    /// Only this destination address or prefix, such as 192.0.2.1 or 10.0.0.0/8, of IPv4 or
    /// IPv6; in the original direction
    #[arg(long, value_name = "ADDRESS[/BITS]", value_parser = network)]
    pub(super) dst: Option<IpNet>,
}

impl Addresses {
    /// Why nothing can match, if `family` is asked for, too.
    pub(super) fn contradiction(self, family: Option<Family>) -> Option<String> {
        let asked = family.map(|family| (family_option(family), family));
        let of = |option, network: Option<IpNet>| {
            let network = network?;
            Some((format!("{option} {}", shown(network)), family_of(network)))
        };
        let given: Vec<(String, Family)> = [asked, of("--src", self.src), of("--dst", self.dst)]
            .into_iter()
            .flatten()
            .collect();
        let (first, family) = given.first()?;
        let (other, _) = given.iter().find(|(_, other)| other != family)?;
        Some(format!(
            "{first} and {other} are of different address families: no flow matches both"
        ))
    }
}

/// A prefix of all bits is one address.
fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn family_option(family: Family) -> String {
    let name = match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    format!("--family {name}")
}

const fn family_of(network: IpNet) -> Family {
    match network {
        IpNet::V4(_) => Family::Ipv4,
        IpNet::V6(_) => Family::Ipv6,
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::read::tests::{assert_accepted, assert_refused};

    #[test]
    fn nothing_is_of_two_families() {
        assert_refused(
            "ctdrop who --src 10.0.0.1 --family ipv6",
            2,
            "--family ipv6 and --src 10.0.0.1 are",
        );
        assert_refused("ctdrop who --dst ::1 --family ipv4", 2, "--dst ::1 are");
        for command in ["who", "watch"] {
            assert_refused(
                &format!("ctdrop {command} --src 10.0.0.1/8 --dst ::1"),
                2,
                "--src 10.0.0.0/8 and --dst ::1 are",
            );
        }
        assert_accepted("ctdrop who --src 10.0.0.1 --dst 10.0.0.0/8 --family ipv4");
        assert_accepted("ctdrop watch --src 10.0.0.0/8 --dst 0.0.0.0/0");
        assert_accepted("ctdrop who --src ::1 --family ipv6");
        assert_accepted("ctdrop who --family ipv6");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_in_words() {
        for command in ["who", "watch"] {
            for option in ["--src", "--dst"] {
                let refused = |value, says| {
                    assert_refused(&format!("ctdrop {command} {option} {value}"), 2, says);
                };
                refused(
                    "10.0.0.0/33",
                    "\"33\" is no prefix length of 10.0.0.0: give 0 to 32",
                );
                refused("::/x", "give 0 to 128");
                refused("host", "give an address or a prefix, such as 192.0.2.1");
                refused("10/8", "give an address or a prefix");
            }
        }
    }
}
