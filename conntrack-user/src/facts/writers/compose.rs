//! `sysctls:` of Compose files: they are for the network namespace of a container, which
//! the limit is not a part of. Only the places where such files are kept by custom are
//! looked at, and what is found there changes no prediction.

use crate::facts::{
    reader::{Reader, Source},
    sysctl::{Key, Variable},
    writers::writer::Writer,
    yaml,
};

/// Directories with a directory for each project.
const PROJECTS: [&str; 3] = ["/etc/docker/compose", "/opt", "/srv"];

/// Names of Compose files.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

pub(super) fn read(reader: &Reader<'_>) -> Option<Writer> {
    let mut evidence: Vec<Source> = Vec::new();
    for directory in PROJECTS {
        for project in reader.directories(directory) {
            for name in NAMES {
                let file = reader.file(&format!("{directory}/{project}/{name}"));
                let leaves = file.and_then(|file| yaml::leaves(&file).ok());
                let asks = leaves
                    .into_iter()
                    .flatten()
                    .filter(|leaf| asks(&leaf.path, &leaf.value));
                evidence.extend(asks.map(|leaf| leaf.source));
            }
        }
    }
    (!evidence.is_empty()).then(|| Writer {
        name: "Compose",
        active: false,
        behaviour: "asks for the limit in the network namespace of a container, from where the \
                    kernel does not let it be set"
            .to_owned(),
        knob: "set the limit on the host, and delete the line".to_owned(),
        evidence,
        sets: None,
    })
}

/// `services.NAME.sysctls`: names with values, or a list of texts.
fn asks(path: &[String], value: &str) -> bool {
    let [services, _, sysctls, key] = path else {
        return false;
    };
    let key = value
        .split_once('=')
        .map_or(key.as_str(), |(key, _)| key.trim());
    services == "services"
        && sysctls == "sysctls"
        && Key::parse(key).variable() == Some(Variable::Max)
}
