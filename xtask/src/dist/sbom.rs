//! The bill of materials (SBOM): what the static binary is made of, as CycloneDX 1.6.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use spdx::Expression;

use crate::{
    dist::release::{HOME, LICENCE, NAME, Release, SUMMARY},
    licences::{
        dependency::{Dependency, Graph},
        native::Library,
    },
};

/// The crate that becomes the program.
const PROGRAM: &str = "conntrack-user";

/// The name of its file.
pub(crate) fn name(release: &Release) -> String {
    let architecture = release.architecture.rust();
    format!("{NAME}-{}-{architecture}.cdx.json", release.version)
}

/// The bill for the program with this SHA-256.
pub(crate) fn text(
    release: &Release,
    program: &str,
    graph: &Graph,
    libraries: &[Library],
) -> Result<String> {
    let shipped = graph.shipped();
    let mut crates = shipped.iter().filter(|one| one.name != PROGRAM);
    let mut components: Vec<Value> = crates.clone().map(|one| component(one)).collect();
    components.extend(libraries.iter().map(native));
    let own = shipped.iter().find(|one| one.name == PROGRAM);
    let own = own.with_context(|| format!("{PROGRAM} is not in the workspace"))?;
    let mut first = calls(own, graph);
    // Nothing calls the crate whose programs are embedded by its name alone.
    first.extend(
        crates
            .find(|one| one.name == "conntrack-ebpf")
            .map(|one| reference(one)),
    );
    first.extend(libraries.iter().map(native_reference));
    first.sort();
    first.dedup();
    let mut dependencies = vec![json!({ "ref": NAME, "dependsOn": first })];
    let others = shipped.iter().filter(|one| one.name != PROGRAM);
    dependencies
        .extend(others.map(|one| json!({ "ref": reference(one), "dependsOn": calls(one, graph) })));
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": release.rfc3339()?,
            "component": {
                "type": "application",
                "bom-ref": NAME,
                "name": NAME,
                "version": release.version,
                "description": SUMMARY,
                "licenses": licences(LICENCE),
                "hashes": [{ "alg": "SHA-256", "content": program }],
                "externalReferences": [{ "type": "vcs", "url": HOME }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
}

/// A crate. A checksum is that of its archive in the registry.
fn component(one: &Dependency) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(one),
        "name": one.name,
        "version": one.version,
        "purl": reference(one),
    });
    if let Some(licence) = &one.licence {
        component["licenses"] = licences(licence);
    }
    if let Some(checksum) = &one.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = &one.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// A library that is no crate.
fn native(library: &Library) -> Value {
    json!({
        "type": "library",
        "bom-ref": native_reference(library),
        "name": library.name,
        "version": library.version,
        "purl": native_reference(library),
        "licenses": licences(library.licence),
        "externalReferences": [{ "type": "website", "url": library.home }],
    })
}

/// An expression as SPDX writes it today; older manifests have a slash for OR.
fn licences(expression: &str) -> Value {
    let canonical = Expression::canonicalize(expression).ok().flatten();
    json!([{ "expression": canonical.as_deref().unwrap_or(expression) }])
}

/// The package URL of a crate.
fn reference(one: &Dependency) -> String {
    format!("pkg:cargo/{}@{}", one.name, one.version)
}

fn native_reference(library: &Library) -> String {
    format!("pkg:generic/{}@{}", library.name, library.version)
}

/// The crates in the program that this one calls.
fn calls(one: &Dependency, graph: &Graph) -> Vec<String> {
    let called = one.calls.iter().filter_map(|identity| graph.get(identity));
    let mut called: Vec<String> = called.filter(|one| !one.is_macro).map(reference).collect();
    called.sort();
    called.dedup();
    called
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{dist::release::tests::release, licences::dependency::tests::made};

    #[test]
    fn what_is_linked_is_listed_and_each_reference_has_a_component() {
        let graph = made(&[
            "conntrack-user: serde conntrack-ebpf",
            "conntrack-ebpf: aya-ebpf",
            "serde: serde_derive",
            "serde_derive!:",
            "aya-ebpf:",
            "rpm:",
        ]);
        let glibc = Library {
            name: "glibc",
            version: "2.36".to_owned(),
            licence: "LGPL-2.1-or-later",
            home: "https://www.gnu.org/software/libc/",
        };
        let bill = text(&release(), "00ff", &graph, &[glibc]).unwrap();
        let bill: Value = serde_json::from_str(&bill).unwrap();
        let set = |values: &Value, key: &str| -> BTreeSet<String> {
            let values = values.as_array().unwrap().iter();
            values
                .map(|value| value[key].as_str().unwrap().to_owned())
                .collect()
        };
        let components = set(&bill["components"], "bom-ref");
        let expected = [
            "pkg:cargo/aya-ebpf@1.0.0",
            "pkg:cargo/conntrack-ebpf@1.0.0",
            "pkg:cargo/serde@1.0.0",
            "pkg:generic/glibc@2.36",
        ];
        assert_eq!(components, expected.map(str::to_owned).into());
        for dependency in bill["dependencies"].as_array().unwrap() {
            for reference in dependency["dependsOn"].as_array().unwrap() {
                assert!(
                    components.contains(reference.as_str().unwrap()),
                    "{reference}"
                );
            }
        }
        assert_eq!(
            bill["metadata"]["component"]["hashes"][0]["content"],
            "00ff"
        );
        assert_eq!(bill["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn an_old_expression_is_written_as_today() {
        assert_eq!(
            licences("MIT/Apache-2.0")[0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(licences("MIT")[0]["expression"], "MIT");
    }
}
