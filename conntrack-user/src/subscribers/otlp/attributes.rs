//! Attributes, and the resource that sends: by the semantic conventions of OpenTelemetry.

use std::fs;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    resource::v1::Resource,
};
use rustix::system::uname;
use uuid::Uuid;

/// The version of the conventions.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The namespace from which the conventions derive a `service.instance.id`.
const NAMESPACE: Uuid = Uuid::from_u128(0x4d63_009a_8d0f_11ee_aad7_4c79_6ed8_e320);

/// The most bytes of a text.
const LONGEST: usize = 1024;

/// A text, cut off where it is too long.
pub(super) fn text(text: &str) -> AnyValue {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    value(any_value::Value::StringValue(text[..end].to_owned()))
}

/// A whole number.
pub(super) fn whole(number: u64) -> AnyValue {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    value(any_value::Value::IntValue(number))
}

/// Several values.
pub(super) fn list(values: Vec<AnyValue>) -> AnyValue {
    value(any_value::Value::ArrayValue(ArrayValue { values }))
}

/// Values with names.
pub(super) fn object(values: Vec<KeyValue>) -> AnyValue {
    value(any_value::Value::KvlistValue(KeyValueList { values }))
}

fn value(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// An attribute.
pub(super) fn named(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

/// The instrumentation scope.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "ctdrop".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// The resource: this host and this ctdrop.
pub(super) fn of_host() -> Resource {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut system = read("/etc/os-release");
    if system.is_empty() {
        system = read("/usr/lib/os-release");
    }
    let kernel = uname();
    let id = read("/etc/machine-id");
    resource(
        &kernel.nodename().to_string_lossy(),
        id.trim(),
        &kernel.release().to_string_lossy(),
        &system,
    )
}

/// The resource of a host: from its name, its id, its kernel release, and its os-release(5).
pub(super) fn resource(host: &str, id: &str, kernel: &str, system: &str) -> Resource {
    let field = |name: &str| {
        let mut lines = system.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']))
    };
    // If a host has no id, the name takes its place.
    let source = if id.is_empty() { host } else { id };
    let instance = Uuid::new_v5(&NAMESPACE, source.as_bytes()).to_string();
    let each = [
        ("service.name", Some("ctdrop")),
        ("service.version", Some(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", Some(instance.as_str())),
        ("host.name", Some(host)),
        ("host.id", (!id.is_empty()).then_some(id)),
        ("os.type", Some("linux")),
        ("os.name", field("NAME")),
        ("os.version", field("VERSION_ID")),
        ("os.description", field("PRETTY_NAME")),
        ("os.build_id", Some(kernel)),
    ];
    let known = each.into_iter();
    let attributes = known.filter_map(|(key, value)| Some(named(key, text(value?))));
    Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_the_conventions() {
        let system = "NAME=\"Debian GNU/Linux\"\nVERSION_ID='13'\n";
        let one = resource("web1", "0123", "6.12.0", system);
        let of = |resource: &Resource, key: &str| {
            let mut attributes = resource.attributes.iter();
            let found = attributes.find(|one| one.key == key)?;
            found.value.clone()
        };
        assert_eq!(of(&one, "os.name"), Some(text("Debian GNU/Linux")));
        assert_eq!(of(&one, "os.version"), Some(text("13")));
        assert_eq!(of(&one, "os.description"), None);
        let again = resource("renamed", "0123", "6.13.0", "");
        assert_eq!(of(&one, "host.id"), Some(text("0123")));
        let instance = of(&one, "service.instance.id");
        assert!(instance.is_some());
        assert_eq!(instance, of(&again, "service.instance.id"));
        assert_ne!(
            instance,
            of(&resource("web2", "", "", ""), "service.instance.id")
        );
    }

    #[test]
    fn a_long_text_is_cut_off_between_characters() {
        let long = "ä".repeat(LONGEST);
        let cut = text(&format!("x{long}"));
        let Some(any_value::Value::StringValue(cut)) = cut.value else {
            panic!("{cut:?}")
        };
        assert_eq!(cut.len(), LONGEST - 1);
    }
}
