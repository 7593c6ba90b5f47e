//! Addresses, and all addresses of a prefix.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads one address, or a prefix (CIDR) such as `10.0.0.0/8`; none if it is neither.
/// Bits after the prefix do not matter.
pub fn network(text: &str) -> Option<IpNet> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    let network = one.or_else(|_| text.parse::<IpNet>()).ok()?;
    Some(network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_prefix_of_all_its_bits() {
        let shown = |text| network(text).map(|network| network.to_string());
        assert_eq!(shown("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(shown("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(shown("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(shown("2001:db8::7").as_deref(), Some("2001:db8::7/128"));
        assert_eq!(shown("2001:db8::7/32").as_deref(), Some("2001:db8::/32"));
        for bad in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10/8",
            "10.0.0.0/-1",
            "host",
            "",
        ] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn each_family_has_its_own_prefixes() {
        let net = network("2001:db8::/32").unwrap();
        let has = |address: &str| net.contains(&address.parse::<IpAddr>().unwrap());
        assert!(has("2001:db8:1::1"));
        assert!(!has("2001:db9::1") && !has("32.1.13.184"));
        let all = network("0.0.0.0/0").unwrap();
        assert!(!all.contains(&"::1".parse::<IpAddr>().unwrap()));
    }
}
