//! Whole trees of files.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::kernel::container::{
    Container,
    cgroup::Place,
    find::Known,
    known::Directory,
    tree::{ENTRIES, LARGEST, Tree},
};

const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
const POD: &str = "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901";

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn at(root: &Path, groups: &str) -> Known {
    let place = Place::of(&groups.replace("{ID}", ID).replace("{POD}", POD)).unwrap();
    Directory::new(Tree::at(root)).get(&place, Instant::now())
}

const IN_DOCKER: &str = "0::/system.slice/docker-{ID}.scope\n";
const IN_POD: &str = "0::/kubepods/burstable/pod{POD}/{ID}\n";

fn config() -> String {
    format!("var/lib/docker/containers/{ID}/config.v2.json")
}

#[test]
fn a_pod_is_named_by_the_links_to_its_logs() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("var/log/containers");
    fs::create_dir_all(&folder).unwrap();
    let target = format!("/var/log/pods/shop_cart-6d5f7c9b8-x2x4z_{POD}/web/0.log");
    symlink(
        target,
        folder.join(format!("cart-6d5f7c9b8-x2x4z_shop_web-{ID}.log")),
    )
    .unwrap();
    let names = at(root.path(), IN_POD).names.unwrap();
    assert_eq!(names.container.as_deref(), Some("web"));
    assert_eq!(names.details(), ["probably of Deployment cart"]);
    let other = IN_POD.replace("{ID}", &"e".repeat(64));
    let sandbox = at(root.path(), &other).names.unwrap();
    assert_eq!(sandbox.pod(), Some(("shop", "cart-6d5f7c9b8-x2x4z")));
    assert_eq!(sandbox.container, None);
}

#[test]
fn the_bundle_adds_the_image() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join(format!("var/log/pods/shop_cart-0_{POD}"))).unwrap();
    let bundle = r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"cart-0",
        "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.container-name":"web",
        "io.kubernetes.cri.image-name":"nginx:1.25"}}"#;
    let path = format!("run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json");
    write(root.path(), &path, bundle);
    let names = at(root.path(), IN_POD).names.unwrap();
    assert_eq!(
        names.details(),
        ["image nginx:1.25", "probably of StatefulSet cart"]
    );
}

#[test]
fn a_rootless_container_is_in_the_list_of_its_user() {
    let root = TempDir::new().unwrap();
    write(
        root.path(),
        "etc/passwd",
        "ann:x:1000:1000::/home/ann:/bin/sh\n",
    );
    let list = format!(r#"[{{"id":"{ID}","names":["web"]}}]"#);
    let path = ".local/share/containers/storage/overlay-containers/containers.json";
    write(root.path(), &format!("home/ann/{path}"), &list);
    let groups = "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n";
    let names = at(root.path(), groups).names.unwrap();
    assert_eq!(names.container.as_deref(), Some("web"));
    assert_eq!(
        at(root.path(), "0::/machine.slice/libpod-{ID}.scope\n").names,
        None
    );
}

#[test]
fn docker_s_data_may_be_elsewhere() {
    let root = TempDir::new().unwrap();
    write(
        root.path(),
        "etc/docker/daemon.json",
        r#"{"data-root":"/data"}"#,
    );
    let path = format!("data/containers/{ID}/config.v2.json");
    write(root.path(), &path, r#"{"Name":"/web"}"#);
    let names = at(root.path(), IN_DOCKER).names.unwrap();
    assert_eq!(names.container.as_deref(), Some("web"));
}

#[test]
fn entries_that_are_not_read_are_counted_and_told() {
    let root = TempDir::new().unwrap();
    let pods = root.path().join("var/log/pods");
    fs::create_dir_all(&pods).unwrap();
    for number in 0..ENTRIES + 3 {
        fs::File::create(pods.join(format!("a_{number}_b"))).unwrap();
    }
    let known = at(root.path(), IN_POD);
    assert_eq!(known.names, None);
    let why = known.unread.unwrap();
    let expected = format!("/var/log/pods: 3 of its entries, after the first {ENTRIES}");
    assert!(why.ends_with(&expected), "{why}");
}

/// Puts something at a path.
type Make = fn(&Path);

#[test]
fn what_is_no_file_is_not_opened_and_told() {
    let make: [(&str, Make); 5] = [
        ("not a regular file", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
        ("larger than 4 MiB", |path| {
            let file = fs::File::create(path).unwrap();
            file.set_len(LARGEST + 1).unwrap();
        }),
        ("EOF while parsing", |path| {
            fs::write(path, "{\"Name\":").unwrap();
        }),
        ("EOF while parsing", |path| {
            fs::write(path, "{\"a\":".repeat(200_000)).unwrap();
        }),
        ("Too many levels of symbolic links", |path| {
            symlink("config.v2.json", path).unwrap();
        }),
    ];
    for (expected, make) in make {
        let root = TempDir::new().unwrap();
        let path = root.path().join(config());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        make(&path);
        let known = at(root.path(), IN_DOCKER);
        assert_eq!(known.names, None, "{expected}");
        let why = known.unread.unwrap();
        assert!(
            why.contains(expected) && why.contains("config.v2.json"),
            "{why}"
        );
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_tree() {
    let outside = TempDir::new().unwrap();
    write(outside.path(), "secret.json", r#"{"Name":"/secret"}"#);
    let root = TempDir::new().unwrap();
    let path = root.path().join(config());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(outside.path().join("secret.json"), &path).unwrap();
    assert_eq!(at(root.path(), IN_DOCKER), Known::default());
    fs::remove_file(&path).unwrap();
    // The same by way of the parents.
    let up = "../".repeat(20) + outside.path().join("secret.json").to_str().unwrap();
    symlink(up, &path).unwrap();
    assert_eq!(at(root.path(), IN_DOCKER), Known::default());
}

#[test]
fn a_hostile_name_is_not_repeated() {
    let root = TempDir::new().unwrap();
    write(
        root.path(),
        &config(),
        r#"{"Name":"/a\u001b[2Jb","Config":{"Image":"x y"}}"#,
    );
    assert_eq!(at(root.path(), IN_DOCKER).names, None);
}

#[test]
fn a_name_is_read_anew_after_a_while_and_not_before() {
    let root = TempDir::new().unwrap();
    let place = Place::of(&IN_DOCKER.replace("{ID}", ID)).unwrap();
    let mut directory = Directory::new(Tree::at(root.path()));
    let now = Instant::now();
    let mut name_after = |seconds| {
        let names = directory
            .get(&place, now + Duration::from_secs(seconds))
            .names;
        names.and_then(|names| names.container)
    };
    assert_eq!(name_after(0), None);
    write(root.path(), &config(), r#"{"Name":"/one"}"#);
    assert_eq!(name_after(1), None);
    assert_eq!(name_after(6).as_deref(), Some("one"));
    write(root.path(), &config(), r#"{"Name":"/two"}"#);
    assert_eq!(name_after(60).as_deref(), Some("one"));
    assert_eq!(name_after(70).as_deref(), Some("two"));
}

#[test]
fn a_container_is_called_by_all_its_names() {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join(format!("var/log/pods/shop_cart-0_{POD}"))).unwrap();
    let groups = IN_POD.replace("{ID}", ID).replace("{POD}", POD);
    let pod = Container {
        names: at(root.path(), &groups).names.map(Box::new),
        ..Container::from_cgroup(&groups).unwrap()
    };
    assert_eq!(pod.to_string(), "pod/shop/cart-0");
    for wanted in [
        POD,
        ID,
        &ID[..12],
        "pod/shop/cart-0",
        "shop/cart-0",
        &format!("pod/{POD}"),
    ] {
        assert!(pod.is_called(wanted), "{wanted}");
    }
    for other in ["cart-0", "shop", "pod/shop/cart", "", "3f4e"] {
        assert!(!pod.is_called(other), "{other}");
    }
    write(root.path(), &config(), r#"{"Name":"/web"}"#);
    let groups = IN_DOCKER.replace("{ID}", ID);
    let web = Container {
        names: at(root.path(), &groups).names.map(Box::new),
        ..Container::from_cgroup(&groups).unwrap()
    };
    assert_eq!(web.to_string(), "docker/web");
    for wanted in ["web", "docker/3f4e5d6c7b8a", ID] {
        assert!(web.is_called(wanted), "{wanted}");
    }
}
