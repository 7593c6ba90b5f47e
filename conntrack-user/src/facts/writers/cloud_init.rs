//! cloud-init: commands of the host's configuration and of the user data of its
//! instance. `bootcmd` runs at each boot, `runcmd` at the first one of an instance
//! (cloud-init `config/cc_bootcmd.py`, `cc_runcmd.py`, `cc_scripts_user.py`).

use crate::facts::{
    modules::Modules,
    reader::{Reader, Source, TextFile},
    writers::{
        acts::mentions,
        commands::Commands,
        scripts::writer,
        writer::{Act, Timing, Writer},
    },
    yaml::{self, Leaf},
};

/// What belongs to the instance that runs, once there is one.
const INSTANCE: &str = "/var/lib/cloud/instance";

/// User data of an image that has not been started yet.
const SEED: [&str; 2] = [
    "/var/lib/cloud/seed/nocloud/user-data",
    "/var/lib/cloud/seed/nocloud-net/user-data",
];

pub(super) fn read(
    reader: &Reader<'_>,
    (modules, is_built_in): (&Modules, bool),
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let files = files(reader);
    let mut writers = Vec::new();
    let mut at_boot = Vec::new();
    for hook in user_data(reader).filter(|text| text.text.starts_with("#cloud-boothook")) {
        at_boot.extend(commands.of_script(&hook, &[]));
    }
    at_boot.extend(acts(&files, "bootcmd", commands));
    // It comes before anything that needs conntrack.
    let is_early = modules.early.is_some() || is_built_in;
    if !is_early {
        for act in &mut at_boot {
            act.certain = false;
        }
    }
    writers.extend(writer(at_boot, true, Timing::AtStart));
    let mut once = acts(&files, "runcmd", commands);
    for script in scripts(reader) {
        once.extend(commands.of_script(&script, &[]));
    }
    let run = Run::of(reader, &files);
    if run == Run::MayBe {
        for act in &mut once {
            act.certain = false;
        }
    }
    let leaves = files.iter().flat_map(|file| &file.leaves);
    let written = leaves.filter(|leaf| leaf.path.first().is_some_and(|key| key == "write_files"));
    if run == Run::AtNextBoot {
        let speaks = written.filter(|leaf| mentions(&leaf.value));
        once.extend(speaks.map(|leaf| super::acts::unknown(&leaf.source)));
    }
    writers.extend(writer(once, run != Run::Done, Timing::AtStart));
    writers
}

/// Whether what runs once for each instance does so at the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// It has run.
    Done,
    /// It will: no instance has been started, or it is to run always.
    AtNextBoot,
    /// The instance is there, without what says that it has run.
    MayBe,
}

impl Run {
    fn of(reader: &Reader<'_>, files: &[File]) -> Self {
        let always = files.iter().any(File::runs_scripts_always);
        if always || !reader.exists(INSTANCE) {
            return Self::AtNextBoot;
        }
        let done = [
            "config_scripts_user",
            "config_runcmd",
            "config_scripts_user.once",
        ];
        if done
            .iter()
            .any(|name| reader.exists(&format!("{INSTANCE}/sem/{name}")))
        {
            Self::Done
        } else {
            Self::MayBe
        }
    }
}

/// A file of cloud-config, by its values.
struct File {
    text: TextFile,
    leaves: Vec<Leaf>,
    /// The line that keeps it from being read.
    error: Option<Source>,
}

impl File {
    fn of(text: TextFile) -> Self {
        let (leaves, error) = match yaml::leaves(&text) {
            Ok(leaves) => (leaves, None),
            Err(line) => (Vec::new(), Some(line)),
        };
        Self {
            text,
            leaves,
            error,
        }
    }

    /// The values of a key at the top.
    fn values<'f>(&'f self, key: &'f str) -> impl Iterator<Item = &'f Leaf> {
        self.leaves
            .iter()
            .filter(move |leaf| leaf.path.first().is_some_and(|first| first == key))
    }

    /// `cloud_final_modules: [[scripts-user, always]]`
    fn runs_scripts_always(&self) -> bool {
        let modules: Vec<&Leaf> = self.values("cloud_final_modules").collect();
        modules.windows(2).any(|pair| {
            let module = pair[0].value.replace('_', "-");
            pair[0].path.len() == 3
                && pair[1].path.starts_with(&pair[0].path[..2])
                && module == "scripts-user"
                && pair[1].value == "always"
        })
    }
}

/// What may hold the commands: of those that have a key the first one counts.
fn files(reader: &Reader<'_>) -> Vec<File> {
    let is_config = |text: &TextFile| {
        let first = text.text.lines().next().unwrap_or_default();
        first.starts_with("#cloud-config") || first.starts_with("## template: jinja")
    };
    let mut texts: Vec<TextFile> = user_data(reader).filter(is_config).collect();
    let directory = "/etc/cloud/cloud.cfg.d";
    let mut parts = reader.names(directory);
    parts.retain(|name| name.strip_suffix(".cfg").is_some());
    let parts = parts.iter().rev();
    texts.extend(parts.filter_map(|name| reader.file(&format!("{directory}/{name}"))));
    texts.extend(reader.file("/etc/cloud/cloud.cfg"));
    texts.into_iter().map(File::of).collect()
}

/// The user data of the instance: what cloud-init has made one of its parts, else as it
/// was given.
fn user_data(reader: &Reader<'_>) -> impl Iterator<Item = TextFile> {
    let of_instance = ["cloud-config.txt", "user-data.txt", "user-data.txt.i"]
        .iter()
        .map(|name| format!("{INSTANCE}/{name}"));
    let mut texts: Vec<TextFile> = of_instance.filter_map(|path| reader.file(&path)).collect();
    if texts.is_empty() {
        texts.extend(SEED.iter().filter_map(|path| reader.file(path)));
    }
    texts.into_iter()
}

/// Scripts among the user data, which run once.
fn scripts(reader: &Reader<'_>) -> Vec<TextFile> {
    let directory = format!("{INSTANCE}/scripts");
    let names = reader.names(&directory).into_iter();
    let mut scripts: Vec<TextFile> = names
        // Made of what is read by itself.
        .filter(|name| name != "runcmd")
        .filter_map(|name| reader.file(&format!("{directory}/{name}")))
        .collect();
    if scripts.is_empty() {
        scripts.extend(user_data(reader).filter(|text| text.text.starts_with("#!")));
    }
    scripts
}

/// What the commands of a key do. cloud-init makes one script of them: a text is a line
/// of it, a list is a command with its arguments (`util.py: shellify`).
fn acts(files: &[File], key: &str, commands: &Commands<'_>) -> Vec<Act> {
    let decides = files.iter().find(|file| {
        let may_speak = file.error.is_some() && mentions(&file.text.text);
        file.values(key).next().is_some() || may_speak
    });
    let Some(file) = decides else {
        return Vec::new();
    };
    if let Some(line) = &file.error {
        return vec![super::acts::unknown(line)];
    }
    let mut script = "#!/bin/sh\n".to_owned();
    let mut lines = vec![file.text.as_source()];
    let mut items: Vec<(String, String, Source)> = Vec::new();
    for leaf in file.values(key) {
        let Some(number) = leaf.path.get(1) else {
            continue;
        };
        if leaf.path.len() == 2 {
            items.push((number.clone(), leaf.value.clone(), leaf.source.clone()));
            continue;
        }
        let word = format!("'{}'", leaf.value.replace('\'', "'\\''"));
        match items.last_mut().filter(|(last, ..)| last == number) {
            Some((_, command, _)) => {
                command.push(' ');
                command.push_str(&word);
            }
            None => items.push((number.clone(), word, leaf.source.clone())),
        }
    }
    for (_, command, source) in items {
        let command = command.trim_end_matches('\n');
        lines.extend(command.split('\n').map(|_| source.clone()));
        script.push_str(command);
        script.push('\n');
    }
    let made = TextFile {
        file: file.text.file.clone(),
        text: script,
        executable: true,
    };
    let found = commands.of_script(&made, &[]);
    let of_line = |act: Act| {
        let line = (act.source.file == made.file)
            .then(|| lines.get((act.source.line as usize).saturating_sub(1)))
            .flatten();
        Act {
            source: line.cloned().unwrap_or(act.source),
            ..act
        }
    };
    found.into_iter().map(of_line).collect()
}
