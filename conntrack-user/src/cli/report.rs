//! The arguments of `ctdrop report`.

use std::path::{Path, PathBuf};

use crate::{
    commands::{
        daemon::{self, STATE},
        report::{Format, Of, Options},
    },
    logs::time::When,
};

/// Options of `ctdrop report`.
#[derive(Clone, Debug, clap::Args)]
pub struct Report {
    /// Number of the incident, as ctdrop incidents shows it; by default the last one
    #[arg(value_name = "ID", conflicts_with_all = ["since", "until"],
        value_parser = clap::value_parser!(i64).range(1..))]
    pub id: Option<i64>,

    /// Only from this time on: 2026-03-12, "2026-03-12 13:40",
    /// 13:40 for today, RFC 3339, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,

    /// Only up to this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,

    /// Form of the report; by default the one that the file name of --out asks for, or html
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Write the report to this file, whole or not at all; by default to standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Mask addresses and names; the same address has the same mask in the whole report
    #[arg(long)]
    pub redact: bool,

    /// The directory with the evidence database
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,

    /// Read this evidence database, such as one that watch --record has written
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
    pub db: Option<PathBuf>,

    /// Merge the evidence of several hosts: copies of their state directories, or of their
    /// databases; all evidence, or the time from --since to --until
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["id", "state_dir", "db"])]
    pub from: Vec<PathBuf>,
}

impl TryFrom<Report> for Options {
    type Error = String;

    fn try_from(arguments: Report) -> Result<Self, String> {
        let Report {
            id,
            since,
            until,
            format,
            out,
            redact,
            state_dir,
            db,
            from,
        } = arguments;
        let of = match (id, since, until) {
            (Some(id), ..) => Of::Incident(id),
            (None, None, None) => Of::Last,
            (None, since, until) => Of::Time { since, until },
        };
        let format = match format {
            Some(format) => format,
            None => by_name(out.as_deref())?,
        };
        Ok(Self {
            of,
            format,
            // As elsewhere, a dash is the standard stream.
            out: out.filter(|out| out.as_os_str() != "-"),
            redact,
            file: db.unwrap_or_else(|| daemon::file(&state_dir)),
            from,
        })
    }
}

/// The form that the name of a file asks for; HTML if it has no ending.
fn by_name(out: Option<&Path>) -> Result<Format, String> {
    let Some((out, ending)) = out.and_then(|out| Some((out, out.extension()?))) else {
        return Ok(Format::Html);
    };
    match ending.to_ascii_lowercase().to_str() {
        Some("html" | "htm") => Ok(Format::Html),
        Some("md") => Ok(Format::Md),
        Some("json") => Ok(Format::Json),
        _ => Err(format!(
            "--out {}: .{} is no form of a report: end the name with .html, .htm, .md or .json, or \
             give --format html, md or json",
            out.display(),
            ending.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        Command,
        read::tests::{assert_accepted, assert_refused},
    };

    fn read(line: &str) -> Options {
        match Command::read(line.split(' ')).unwrap() {
            Command::Report(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_incident_as_html_is_the_default() {
        let options = read("ctdrop report");
        assert_eq!((options.of, options.format), (Of::Last, Format::Html));
        assert_eq!(options.file, PathBuf::from("/var/lib/ctdrop/ctdrop.db"));
        assert_eq!(read("ctdrop report 3").of, Of::Incident(3));
        assert!(matches!(
            read("ctdrop report --since 2h").of,
            Of::Time { .. }
        ));
    }

    #[test]
    fn the_name_of_the_file_says_the_form() {
        assert_eq!(read("ctdrop report --out x.md").format, Format::Md);
        assert_eq!(read("ctdrop report --out x.json").format, Format::Json);
        let both = read("ctdrop report --out x.json --format html");
        assert_eq!(both.format, Format::Html);
        for html in ["x", "x.html", "x.HTM", "/dev/null", "-", "/srv/a.b/x"] {
            let options = read(&format!("ctdrop report --out {html}"));
            assert_eq!(options.format, Format::Html, "{html}");
        }
        let other = read("ctdrop report --out x.txt --format md");
        assert_eq!(other.format, Format::Md);
        assert_eq!(
            read("ctdrop report --db /x.db").file,
            PathBuf::from("/x.db")
        );
    }

    #[test]
    fn what_contradicts_is_refused() {
        assert_refused("ctdrop report 3 --since 2h", 2, "cannot be used with");
        assert_refused("ctdrop report --since yesterday", 2, "2h");
        assert_refused(
            "ctdrop report --db x --state-dir y",
            2,
            "cannot be used with",
        );
        assert_refused("ctdrop report 0", 2, "0");
        assert_refused("ctdrop report 3 --from a", 2, "cannot be used with");
        assert_refused("ctdrop report --from a --db x", 2, "cannot be used with");
        assert_accepted("ctdrop report --from a b c --since 2h --redact --out x.json");
        let endings = ".html, .htm, .md or .json";
        assert_refused("ctdrop report --out x.pdf", 2, endings);
        assert_refused("ctdrop report --out x.pdf", 2, "give --format");
        assert_accepted("ctdrop report --since 2026-03-12 --until 1h --redact --format md");
    }
}
