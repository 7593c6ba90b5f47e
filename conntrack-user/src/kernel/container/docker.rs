//! Docker's own file of a container: `container.Container` of moby, which `toDisk` writes as
//! `config.v2.json` (`container/container.go` in 1.10 to 20.10, `daemon/container/container.go`
//! in 28).

use std::collections::HashMap;

use serde::Deserialize;

use crate::kernel::container::{
    form::{image, name},
    names::Names,
    oci::of_kubernetes,
    tree::{Found, Tree},
};

/// The default data directory of Docker.
const DATA: &str = "/var/lib/docker";

/// The settings of Docker, which may name another one.
const SETTINGS: &str = "/etc/docker/daemon.json";

#[derive(Deserialize)]
struct Settings {
    /// `graph` before Docker 17.05.
    #[serde(rename = "data-root", alias = "graph")]
    data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<HashMap<String, String>>,
}

/// The names that Docker has for the container with that id.
pub(super) fn names(tree: &Tree, id: &str) -> Found<Names> {
    let moved = tree.read(SETTINGS).ok().flatten();
    let moved = moved.and_then(|text| serde_json::from_slice::<Settings>(&text).ok()?.data);
    let data = moved.as_deref().unwrap_or(DATA);
    let path = format!("{data}/containers/{id}/config.v2.json");
    let Some(content) = tree.read(&path)? else {
        return Ok(None);
    };
    parse(&content, id, &path).map(Some)
}

fn parse(content: &[u8], id: &str, path: &str) -> Result<Names, String> {
    let file: File = serde_json::from_slice(content).map_err(|error| format!("{path}: {error}"))?;
    if file.id.as_deref().is_some_and(|said| said != id) {
        return Err(format!("{path}: it has the ID of another container"));
    }
    let given = file.name.as_deref().unwrap_or_default();
    let given = given.strip_prefix('/').unwrap_or(given);
    let config = file.config.as_ref();
    let labels = config.and_then(|config| config.labels.as_ref());
    let label = |key: &str| {
        labels
            .and_then(|labels| labels.get(key))
            .map(String::as_str)
    };
    let labelled = |key: &str| label(key).and_then(name);
    let names = Names {
        container: name(given),
        image: config.and_then(|config| image(config.image.as_deref()?)),
        project: labelled("com.docker.compose.project"),
        service: labelled("com.docker.compose.service")
            .or_else(|| labelled("com.docker.swarm.service.name")),
        ..Names::by(path)
    };
    // cri-dockerd's containers have the kubelet's labels.
    Ok(match of_kubernetes(label, path) {
        Some(pod) => Names {
            container: pod.container.clone(),
            ..pod.or(Some(&names))
        },
        None => names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_an_image_and_what_compose_says() {
        let file = r#"{"ID":"3f","Name":"/shop-web-1","Image":"sha256:00","Config":{"Hostname":"a",
            "Image":"nginx:1.25","Env":["SECRET=x"],"Labels":{"com.docker.compose.project":"shop",
            "com.docker.compose.service":"web"}}}"#;
        let names = parse(file.as_bytes(), "3f", "f").unwrap();
        assert_eq!(names.container.as_deref(), Some("shop-web-1"));
        assert_eq!(
            names.details(),
            ["image nginx:1.25", "service web of project shop"]
        );
        let bare = br#"{"Name":"/a","Config":{"Labels":null}}"#;
        assert_eq!(
            parse(bare, "3f", "f").unwrap().container.as_deref(),
            Some("a")
        );
        assert!(
            parse(b"{\"Name\":", "3f", "f")
                .unwrap_err()
                .starts_with("f: ")
        );
    }

    #[test]
    fn a_container_of_a_pod_has_the_kubelet_s_labels() {
        let file = r#"{"Name":"/k8s_web_cart-1_shop_uid_0","Config":{"Image":"nginx@sha256:00","Labels":{
            "io.kubernetes.container.name":"web","io.kubernetes.pod.name":"cart-1",
            "io.kubernetes.pod.namespace":"shop"}}}"#;
        let names = parse(file.as_bytes(), "3f", "f").unwrap();
        assert_eq!(names.pod(), Some(("shop", "cart-1")));
        assert_eq!(names.container.as_deref(), Some("web"));
        assert_eq!(names.image.as_deref(), Some("nginx@sha256:00"));
    }

    #[test]
    fn the_file_of_another_container_names_nothing() {
        let file = br#"{"ID":"4e","Name":"/other"}"#;
        let error = parse(file, "3f", "f").unwrap_err();
        assert_eq!(error, "f: it has the ID of another container");
    }
}
