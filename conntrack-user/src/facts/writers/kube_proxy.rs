//! What kube-proxy is told: flags in a unit, a pod or a process, a configuration
//! file, and the arguments that k3s and RKE2 pass on. A configuration file wins over
//! flags (kubernetes `cmd/kube-proxy/app/options.go: Complete`).

use crate::facts::{
    reader::{Source, TextFile},
    writers::kube_form::assigns,
    yaml::{self, Leaf},
};

/// A number, and the line that gives it.
pub(super) type Given = (u64, Source);

/// What it is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// How much for each processor.
    pub(super) per_core: Option<Given>,
    /// How much at least.
    pub(super) min: Option<Given>,
    /// That it is not to run.
    pub(super) disabled: Option<Source>,
    /// A line that cannot be understood.
    pub(super) unknown: Option<Source>,
}

/// A flag, and the name in a configuration file.
const PER_CORE: (&str, &str) = ("conntrack-max-per-core", "maxPerCore");
const MIN: (&str, &str) = ("conntrack-min", "min");

impl Told {
    /// By files in the order in which later ones count more.
    pub(super) fn by(texts: &[TextFile]) -> Self {
        let mut told = Self::default();
        let mut configured: Option<Self> = None;
        for text in texts {
            if is_yaml(text) {
                match yaml::leaves(text) {
                    Ok(leaves) if is_configuration(&leaves) => {
                        configured = Some(configuration(&leaves));
                    }
                    Ok(leaves) => told.take_arguments(&leaves),
                    Err(line) => told.unknown = Some(line),
                }
            } else {
                for (number, line) in text.lines() {
                    if line.trim() == "ExecStart=" {
                        // A drop-in takes back the command of the unit.
                        (told.per_core, told.min, told.unknown) = (None, None, None);
                    }
                    if !line.trim_start().starts_with(['#', ';']) {
                        told.take_flags(line, &text.source(number, line));
                    }
                }
            }
        }
        match configured {
            Some(configured) => Self {
                disabled: told.disabled,
                unknown: configured.unknown.or(told.unknown),
                ..configured
            },
            None => told,
        }
    }

    /// Whether anything of it is about the limit.
    pub(super) fn is_said(&self) -> bool {
        self.per_core.is_some() || self.min.is_some() || self.unknown.is_some()
    }

    /// Of a pod, and of k3s and RKE2, whose later files replace a list unless its
    /// name ends with a plus sign.
    fn take_arguments(&mut self, leaves: &[Leaf]) {
        if leaves
            .iter()
            .any(|leaf| leaf.path[..] == ["kube-proxy-arg"] || starts(leaf, "kube-proxy-arg"))
        {
            self.per_core = None;
            self.min = None;
        }
        for leaf in leaves {
            if leaf.path[..] == ["disable-kube-proxy"] {
                self.disabled = (leaf.value == "true").then(|| leaf.source.clone());
            } else if !leaf.path.is_empty() {
                self.take_flags(&leaf.value, &leaf.source);
            }
        }
    }

    fn take_flags(&mut self, line: &str, source: &Source) {
        let blank = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | ',' | '\0' | '=');
        let mut words = line.split(blank).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            let name = word.trim_start_matches('-');
            if name == "disable-kube-proxy" {
                let off = words.peek().is_some_and(|next| *next == "false");
                self.disabled = (!off).then(|| source.clone());
                continue;
            }
            let target = if name == PER_CORE.0 {
                &mut self.per_core
            } else if name == MIN.0 {
                &mut self.min
            } else {
                continue;
            };
            match words.peek().map(|value| value.parse()) {
                Some(Ok(value)) => *target = Some((value, source.clone())),
                _ => self.unknown = Some(source.clone()),
            }
        }
    }
}

fn starts(leaf: &Leaf, name: &str) -> bool {
    leaf.path.first().is_some_and(|first| first == name)
}

/// By its name: of units, arguments and processes there are others.
fn is_yaml(text: &TextFile) -> bool {
    let name = text.file.to_string_lossy();
    [".yaml", ".yml", ".manifest", ".conf", ".json"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
        && !name.contains(".service.d/")
        // A file of variables for a unit.
        && !text.text.lines().find(|line| !line.trim().is_empty()).is_some_and(assigns)
}

fn is_configuration(leaves: &[Leaf]) -> bool {
    leaves.iter().any(|leaf| {
        (leaf.path[..] == ["kind"] && leaf.value == "KubeProxyConfiguration")
            || (leaf.path.len() == 2 && starts(leaf, "conntrack"))
    })
}

/// The section `conntrack` at the top.
fn configuration(leaves: &[Leaf]) -> Told {
    let mut told = Told::default();
    for leaf in leaves {
        let [section, name] = &leaf.path[..] else {
            continue;
        };
        if section != "conntrack" {
            continue;
        }
        let target = if name == PER_CORE.1 {
            &mut told.per_core
        } else if name == MIN.1 {
            &mut told.min
        } else {
            continue;
        };
        match leaf.number.and_then(|number| u64::try_from(number).ok()) {
            Some(value) => *target = Some((value, leaf.source.clone())),
            None => told.unknown = Some(leaf.source.clone()),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            file: path.into(),
            text: text.to_owned(),
            executable: false,
        }
    }

    /// Per processor, at least, and whether a line is not understood.
    fn told(files: &[(&str, &str)]) -> (Option<u64>, Option<u64>, bool) {
        let texts: Vec<TextFile> = files.iter().map(|(path, text)| file(path, text)).collect();
        let told = Told::by(&texts);
        let value = |given: Option<Given>| given.map(|(value, _)| value);
        (
            value(told.per_core),
            value(told.min),
            told.unknown.is_some(),
        )
    }

    #[test]
    fn configuration_files_in_each_form() {
        let kind = "kind: KubeProxyConfiguration\n";
        for text in [
            "conntrack:\n  maxPerCore: 5\n  min: 7\n",
            "conntrack: {maxPerCore: 5, min: 7}\n",
            "\"conntrack\":\n    # c\n    'maxPerCore': 5 # d\n    min:   7\n",
        ] {
            let found = told(&[("/c.conf", &format!("{kind}{text}"))]);
            assert_eq!(found, (Some(5), Some(7), false), "{text}");
        }
        let json =
            r#"{"kind": "KubeProxyConfiguration", "conntrack": {"maxPerCore": 5, "min": 7}}"#;
        assert_eq!(told(&[("/c.conf", json)]), (Some(5), Some(7), false));
        let deeper = format!("{kind}other:\n  conntrack:\n    min: 7\n");
        assert_eq!(told(&[("/c.conf", &deeper)]), (None, None, false));
        let null = format!("{kind}conntrack:\n  min: null\n");
        assert_eq!(told(&[("/c.conf", &null)]), (None, None, false));
        for wrong in [
            "conntrack: [\n",
            "conntrack:\n  min: many\n",
            "conntrack:\n  min: \"7\"\n",
        ] {
            assert!(told(&[("/c.conf", &format!("{kind}{wrong}"))]).2, "{wrong}");
        }
    }

    #[test]
    fn flags_of_units_pods_and_processes() {
        for (path, text) in [
            (
                "/u.service",
                "ExecStart=/x --conntrack-min=7 --conntrack-max-per-core 5\n",
            ),
            (
                "/u.service",
                "ExecStart=/x --conntrack-min=1 \\\n --conntrack-min=7 --conntrack-max-per-core=5\n",
            ),
            (
                "/proc/1/cmdline",
                "kube-proxy --conntrack-min=7 --conntrack-max-per-core=5 ",
            ),
            (
                "/p.yaml",
                "spec:\n  containers:\n  - command: [kube-proxy, --conntrack-min=7, --conntrack-max-per-core=5]\n",
            ),
            (
                "/p.yaml",
                "command:\n- sh\n- -c\n- x --conntrack-min=7 --conntrack-max-per-core=5\n",
            ),
            (
                "/k/config.yaml",
                "kube-proxy-arg:\n  - \"conntrack-min=7\"\n  - conntrack-max-per-core=5\n",
            ),
        ] {
            assert_eq!(told(&[(path, text)]), (Some(5), Some(7), false), "{text}");
        }
    }

    #[test]
    fn which_of_several_counts() {
        let flags = ("/u.service", "ExecStart=/x --conntrack-min=1\n");
        let config = ("/c.conf", "conntrack:\n  min: 7\n");
        assert_eq!(
            told(&[flags, config]).1,
            Some(7),
            "the file wins over flags"
        );
        assert_eq!(told(&[config, flags]).1, Some(7));
        let first = (
            "/k/config.yaml",
            "kube-proxy-arg: [conntrack-min=1, conntrack-max-per-core=5]\n",
        );
        let replaces = (
            "/k/config.yaml.d/a.yaml",
            "kube-proxy-arg: conntrack-min=7\n",
        );
        let adds = (
            "/k/config.yaml.d/a.yaml",
            "kube-proxy-arg+: conntrack-min=7\n",
        );
        assert_eq!(told(&[first, replaces]), (None, Some(7), false));
        assert_eq!(told(&[first, adds]), (Some(5), Some(7), false));
    }
}
