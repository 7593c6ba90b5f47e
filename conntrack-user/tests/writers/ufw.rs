//! ufw, which sets sysctls of its own file when it starts; its two files are sourced by
//! a shell, to which a carriage return is a letter.

use crate::host::{FILES, Host, Limit::Is};

#[test]
fn carriage_returns_keep_ufw_from_setting_anything() {
    let limit = |config: &str, defaults: &str| {
        let host = Host::with("/etc/ufw/ufw.conf", config);
        host.write("/etc/default/ufw", defaults);
        host.write(
            "/etc/ufw/sysctl.conf",
            "net/netfilter/nf_conntrack_max=131072\n",
        );
        host.limit()
    };
    let (config, defaults) = ("ENABLED=yes\n", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n");
    assert_eq!(limit(config, defaults), Is(131_072));
    assert_eq!(limit("ENABLED=no\n", defaults), Is(FILES));
    assert_eq!(limit(config, "IPT_SYSCTL=\n"), Is(FILES));
    for (config, defaults) in [
        (config, "IPT_SYSCTL=/etc/ufw/sysctl.conf\r\n"),
        ("ENABLED=yes\r\n", defaults),
    ] {
        assert_eq!(
            limit(config, defaults),
            Is(FILES),
            "{config:?} {defaults:?}"
        );
    }
}
