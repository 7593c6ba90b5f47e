//! The commands of a program in a document, with the output that is shown with them.

/// A command in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::system) struct Command {
    /// Where it is.
    pub(in crate::system) line: usize,
    /// What a shell is to run.
    pub(in crate::system) text: String,
    /// The lines that are shown as its output; `…` stands for any number of lines.
    pub(in crate::system) shown: Vec<String>,
}

/// Finds the commands of a document in Markdown that run a program: indented lines, and lines
/// behind `$ ` in a block between fences.
pub(in crate::system) fn in_document(document: &str, program: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut fenced = false;
    // Whether the last line of a command ends with a backslash.
    let mut goes_on = false;
    // Whether lines are the output of the last command: until the end of its block.
    let mut shows = false;
    for (number, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
            (goes_on, shows) = (false, false);
            continue;
        }
        if goes_on && let Some(last) = commands.last_mut() {
            goes_on = append(&mut last.text, line.trim());
            continue;
        }
        let begun = if fenced {
            line.strip_prefix("$ ")
        } else {
            line.strip_prefix("    ")
                .filter(|line| !line.starts_with(' '))
        };
        match (begun, commands.last_mut()) {
            (Some(begun), _) => {
                let mut text = String::new();
                goes_on = append(&mut text, begun);
                shows = fenced;
                commands.push(Command {
                    line: number + 1,
                    text,
                    shown: Vec::new(),
                });
            }
            (None, Some(last)) if shows => last.shown.push(line.to_owned()),
            (None, _) => {}
        }
    }
    commands.retain(|command| runs(program, &command.text));
    commands
}

/// Appends a line without its remark; whether the command goes on in the next line.
fn append(command: &mut String, line: &str) -> bool {
    let code = line
        .split_once(" #")
        .map_or(line, |(code, _)| code)
        .trim_end();
    let more = code.strip_suffix('\\');
    command.push_str(more.unwrap_or(code));
    more.is_some()
}

/// Whether a line of a shell runs the program itself, not another one with such an argument.
fn runs(program: &str, line: &str) -> bool {
    line.split(['|', '&', ';'])
        .filter_map(|part| part.trim_start().strip_prefix(program))
        .any(|arguments| arguments.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
Text with `ctdrop who` in it.

    ctdrop fix --dry-run              # only show the plan
    dmesg | ctdrop logs -
    systemctl status ctdrop

```text
$ ctdrop report 3 \\
    --out incident.md
written
$ ls
```
After.
```text
$ ctdrop undo
```
```text
no output
```
";

    #[test]
    fn commands_and_their_output_are_found() {
        let command = |line, text: &str, shown: &[&str]| Command {
            line,
            text: text.to_owned(),
            shown: shown.iter().map(|&line| line.to_owned()).collect(),
        };
        assert_eq!(
            in_document(DOCUMENT, "ctdrop"),
            [
                command(3, "ctdrop fix --dry-run", &[]),
                command(4, "dmesg | ctdrop logs -", &[]),
                command(8, "ctdrop report 3 --out incident.md", &["written"]),
                command(15, "ctdrop undo", &[]),
            ]
        );
        assert_eq!(
            in_document(DOCUMENT, "systemctl"),
            [command(5, "systemctl status ctdrop", &[])]
        );
    }
}
