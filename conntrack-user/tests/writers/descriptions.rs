//! Descriptions from which something else is made: of NixOS, and of containers.

use std::fs;

use conntrack_user::facts::{Facts, root::Root};

use crate::host::{
    FILES, Host, KEY,
    Limit::{Is, UnknownBy},
};

#[test]
fn what_is_built_decides_on_nixos_unless_its_description_differs() {
    let nixos = |value: &str| {
        let host = Host::new();
        host.write("/etc/os-release", "ID=nixos\nVERSION_ID=\"24.05\"\n");
        fs::rename(
            host.0.path().join("etc/sysctl.d/90-ct.conf"),
            host.0.path().join("etc/sysctl.d/60-nixos.conf"),
        )
        .unwrap();
        let text = format!("{{ ... }}: {{\n  boot.kernel.sysctl.\"{KEY}\" = {value};\n}}\n");
        host.write("/etc/nixos/configuration.nix", text);
        host.limit()
    };
    assert_eq!(nixos(&FILES.to_string()), Is(FILES));
    assert_eq!(nixos("655360"), UnknownBy(2));
    assert_eq!(nixos("10 * 131072"), UnknownBy(2));
}

#[test]
fn a_container_does_not_set_the_limit_of_its_host() {
    for (path, sysctls) in [
        ("/opt/web/docker-compose.yml", format!("{{{KEY}: 655360}}")),
        (
            "/etc/docker/compose/web/compose.yaml",
            format!("[\"{KEY}=655360\"]"),
        ),
    ] {
        let text = format!("services:\n  web:\n    image: x\n    sysctls: {sysctls}\n");
        let host = Host::with(path, &text);
        assert_eq!(host.limit(), Is(FILES));
        let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
        let writer = &facts.writers[0];
        assert_eq!((writer.name, writer.active), ("Compose", false));
        assert_eq!(writer.evidence[0].line, 4);
    }
}
