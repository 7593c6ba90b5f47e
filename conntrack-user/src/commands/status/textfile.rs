//! `ctdrop status --textfile`: the numbers for the textfile collector of `node_exporter`.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    commands::status::{forecast::Namespace, report::StatusReport},
    subscribers::metrics::{
        catalogue::{build_info, gauge},
        family::{Family, Sample, classic},
        numbers::MOST,
    },
};

/// A table that will be full later than this is left out.
pub(super) const SOON: Duration = Duration::from_hours(24);

/// Writes the file, whole or not at all.
pub(super) fn write(report: &StatusReport, file: &Path) -> Result<()> {
    // It would take the place of a device or a pipe.
    if fs::symlink_metadata(file).is_ok_and(|there| !there.is_file()) {
        bail!(
            "cannot write {}: it is no file. Name one that ends with .prom, in the directory of the \
             textfile collector",
            file.display()
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let text = text(report, now.unwrap_or_default());
    let write = || {
        let directory = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        // The collector reads what ends with .prom, which this does not.
        let mut whole = tempfile::Builder::new()
            .prefix(".ctdrop-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory.unwrap_or_else(|| Path::new(".")))?;
        whole.write_all(text.as_bytes())?;
        whole.persist(file)?;
        Ok::<_, anyhow::Error>(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn text(report: &StatusReport, now: Duration) -> String {
    classic(families(report, now))
}

fn families(report: &StatusReport, now: Duration) -> Vec<Family> {
    let one = |value: Option<u64>| value.map(Sample::plain).into_iter().collect();
    let tables = named(&report.namespaces);
    let entries = tables.iter().filter_map(|(name, table)| {
        let entries = table.used.entries?;
        Some(Sample::of("netns", name.as_str(), entries))
    });
    let full_in = tables.iter().filter_map(|(name, table)| {
        let seconds = table.full_in.filter(|&time| time <= SOON.as_secs_f64())?;
        Some(Sample::of("netns", name.as_str(), seconds))
    });
    let survives = &report.survives;
    let after = [
        ("boot", survives.boot.value),
        ("service_restart", survives.service_restart.value),
        ("module_reload", survives.module_reload.value),
    ];
    let after = after.into_iter();
    let after = after.filter_map(|(event, max)| Some(Sample::of("event", event, max?)));
    vec![
        build_info(),
        gauge(
            "ctdrop_status_severity",
            "0 ok, 1 warning, 2 critical, 3 unknown",
            one(Some(report.state.code().into())),
        ),
        gauge(
            "ctdrop_status_timestamp_seconds",
            "When this was written, since 1970",
            vec![Sample::plain(now.as_secs())],
        ),
        gauge(
            "ctdrop_table_entries",
            "Entries of the fullest tables, by network namespace",
            entries.collect(),
        ),
        gauge(
            "ctdrop_table_entries_limit",
            "Entries that each network namespace may have; 0 is no limit",
            one(report.limit.max),
        ),
        gauge(
            "ctdrop_table_buckets",
            "Buckets of the hash table that all network namespaces share",
            one(report.limit.buckets),
        ),
        gauge(
            "ctdrop_table_full_in_seconds",
            "Time until a table is full if it goes on as it does, of those that fill",
            full_in.collect(),
        ),
        gauge(
            "ctdrop_table_entries_limit_after",
            "The limit as it will be after an event, where that can be told",
            after.collect(),
        ),
    ]
}

/// The fullest namespaces, each by another name: two series must not have the same labels.
pub(super) fn named(namespaces: &[Namespace]) -> Vec<(String, &Namespace)> {
    let mut named: Vec<(String, &Namespace)> = Vec::new();
    for namespace in namespaces.iter().take(MOST) {
        let mut name = namespace.used.name.clone();
        if named.iter().any(|(known, _)| *known == name) {
            name = format!("net:[{}]", namespace.used.netns.unwrap_or(0));
        }
        named.push((name, namespace));
    }
    named
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;
    use crate::{
        commands::status::capacity::Bounds,
        facts::{Facts, root::Root},
        incident::look::SavedTable,
    };

    fn report() -> StatusReport {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees/arch");
        let facts = Facts::read(&Root::open(&root).unwrap()).unwrap();
        let bounds = Bounds {
            warning: 75,
            critical: 90,
        };
        StatusReport::of_tree(facts, root, &SavedTable::default(), bounds)
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_others_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ctdrop.prom");
        fs::write(&file, "old").unwrap();
        let report = report();
        write(&report, &file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let severity = format!("\nctdrop_status_severity {}\n", report.state.code());
        assert!(text.contains(&severity), "{text}");
        assert!(!text.contains("# EOF"), "{text}");
        assert!(
            text.lines().all(|line| !line.ends_with(" counter")),
            "{text}"
        );
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let device = directory.path().join("null.prom");
        symlink("/dev/null", &device).unwrap();
        let error = write(&report, &device).unwrap_err().to_string();
        assert!(error.contains("it is no file"), "{error}");
        assert!(device.is_symlink(), "it is left");
        let error = write(&report, Path::new("/nowhere/ctdrop.prom")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ctdrop.prom"));
    }
}
