//! The image for containers: an OCI image layout in a tar archive, which podman, docker,
//! containerd and skopeo read. There is nothing in it but the program and its licences.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::dist::{
    archive,
    file::{File, Role},
    hash::sha256,
    release::{HOME, LICENCE, NAME, Release, SUMMARY},
};

/// What the blobs are.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The name of the archive.
pub(crate) fn name(release: &Release) -> String {
    let architecture = release.architecture.debian();
    format!("{NAME}-{}-{architecture}-oci.tar", release.version)
}

/// The archive with the image of these files.
pub(crate) fn archive(release: &Release, files: &[File]) -> Result<Vec<u8>> {
    let mut layout = Layout::default();
    let layer = archive::tar(files, "", release.time)?;
    let compressed = archive::gzip(&layer)?;
    let layer_blob = layout.add(LAYER, compressed);
    let config = config(release, &sha256(&layer))?;
    let config_blob = layout.add(CONFIG, serde_json::to_vec(&config)?);
    let docker = json!([{
        "Config": path(&config_blob),
        "RepoTags": [tag(release)],
        "Layers": [path(&layer_blob)],
    }]);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob,
        "layers": [layer_blob],
        "annotations": labels(release)?,
    });
    let mut manifest_blob = layout.add(MANIFEST, serde_json::to_vec(&manifest)?);
    manifest_blob["platform"] = platform(release);
    manifest_blob["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{}", tag(release)),
        "org.opencontainers.image.ref.name": tag(release),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [manifest_blob],
    });
    layout.file("index.json", serde_json::to_vec(&index)?);
    layout.file(
        "oci-layout",
        serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?,
    );
    // Older versions of docker load read this one.
    layout.file("manifest.json", serde_json::to_vec(&docker)?);
    archive::tar(&layout.files, "", release.time)
}

/// The files of the layout.
#[derive(Default)]
struct Layout {
    files: Vec<File>,
}

impl Layout {
    fn file(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.files.push(File::new(path, Role::Plain, bytes));
    }

    /// Adds a blob, and returns its descriptor.
    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let digest = sha256(&bytes);
        let size = bytes.len();
        self.file(format!("blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size })
    }
}

/// What the image runs on.
fn platform(release: &Release) -> Value {
    json!({ "architecture": release.architecture.debian(), "os": "linux" })
}

/// Where the blob of a descriptor is.
fn path(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The name of the image.
fn tag(release: &Release) -> String {
    format!("{NAME}:{}", release.version)
}

/// How the image is run.
fn config(release: &Release, layer: &str) -> Result<Value> {
    let time = release.rfc3339()?;
    Ok(json!({
        "created": time,
        "architecture": release.architecture.debian(),
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/usr/bin/{NAME}")],
            "Cmd": ["daemon"],
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": labels(release)?,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": time, "created_by": "cargo xtask dist" }],
    }))
}

/// What the image says about itself.
fn labels(release: &Release) -> Result<BTreeMap<&'static str, String>> {
    Ok(BTreeMap::from([
        ("org.opencontainers.image.created", release.rfc3339()?),
        ("org.opencontainers.image.description", SUMMARY.to_owned()),
        ("org.opencontainers.image.licenses", LICENCE.to_owned()),
        ("org.opencontainers.image.source", HOME.to_owned()),
        ("org.opencontainers.image.title", NAME.to_owned()),
        ("org.opencontainers.image.version", release.version.clone()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{
        archive::tests::{gunzip, listed},
        release::tests::release,
    };

    #[test]
    fn each_descriptor_leads_to_its_blob() {
        let release = Release {
            time: 7,
            ..release()
        };
        let image = archive(&release, &[File::program("usr/bin/ctdrop", "program")]).unwrap();
        let files = listed(&image);
        let bytes = |path: &str| &files.iter().find(|file| file.0 == path).unwrap().2;
        let read = |path: &str| serde_json::from_slice::<Value>(bytes(path)).unwrap();
        let blob = |descriptor: &Value| {
            let bytes = bytes(&path(descriptor));
            assert_eq!(descriptor["digest"], format!("sha256:{}", sha256(bytes)));
            assert_eq!(descriptor["size"], bytes.len());
            bytes
        };
        assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");
        let index = read("index.json");
        let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(blob(&manifest["config"])).unwrap();
        let layer = gunzip(blob(&manifest["layers"][0]));
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", sha256(&layer))
        );
        assert_eq!(index["manifests"][0]["platform"]["architecture"], "arm64");
        assert_eq!(config["architecture"], "arm64");
        assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/ctdrop");
        let program = listed(&layer)
            .into_iter()
            .find(|file| file.0 == "usr/bin/ctdrop");
        assert_eq!(program.unwrap().1, 0o755);
        assert_eq!(read("manifest.json")[0]["RepoTags"][0], "ctdrop:1.2.3");
    }
}
