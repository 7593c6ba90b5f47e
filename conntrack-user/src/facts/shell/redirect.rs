//! Redirections, and where what is printed goes to.

use brush_parser::ast::{
    self, IoFileRedirectKind, IoFileRedirectTarget, IoHereDocument, IoRedirect,
};

use crate::facts::{
    reader::Source,
    shell::{
        Dialect, directory,
        effect::{Does, Word},
        run::Shell,
        state::State,
    },
};

/// The longest text that is collected, in bytes.
const LONGEST: usize = 1 << 16;

/// Where a command reads from and writes to.
#[derive(Debug, Default)]
pub(super) struct Redirected {
    output: Output,
    /// What it reads on standard input; none if that is not known.
    pub(super) input: Option<String>,
    /// Whether a file may be missing, so that the command is not run.
    pub(super) may_fail: bool,
    /// Whether shells differ in what is printed.
    may_print_more: bool,
}

#[derive(Debug, Default)]
enum Output {
    /// Where all output goes.
    #[default]
    Passed,
    /// Nowhere that matters.
    Dropped,
    /// Into this file.
    File(Word),
}

impl Redirected {
    /// Whether output goes where it would go without them.
    pub(super) const fn passes_output(&self) -> bool {
        matches!(self.output, Output::Passed)
    }
}

impl Shell<'_> {
    /// What redirections do, after what a pipe gives.
    pub(super) fn redirected(
        &mut self,
        state: &mut State,
        redirects: &[IoRedirect],
        piped: Option<String>,
        at: &Source,
    ) -> Redirected {
        let mut all = Redirected {
            input: piped,
            ..Redirected::default()
        };
        for redirect in redirects {
            match redirect {
                IoRedirect::File(descriptor, kind, target) => {
                    self.file_redirect(state, (*descriptor, kind, target), &mut all, at);
                }
                IoRedirect::HereDocument(descriptor, document) => {
                    let text = self.here_document(state, document, at);
                    if matches!(descriptor, None | Some(0)) {
                        all.input = text;
                    }
                }
                IoRedirect::HereString(descriptor, word) => {
                    let text = self.text(state, &word.value, at);
                    if matches!(descriptor, None | Some(0)) && self.dialect == Dialect::Bash {
                        all.input = text.map(|text| text + "\n");
                    }
                }
                IoRedirect::OutputAndError(word, _) => {
                    // Other shells run the command in the background, and empty the file.
                    if self.dialect == Dialect::Bash {
                        self.output_to(state, word, &mut all, at);
                    } else {
                        self.effect(Does::Anything, at);
                        all.output = Output::Dropped;
                    }
                }
            }
        }
        all
    }

    fn file_redirect(
        &mut self,
        state: &mut State,
        (descriptor, kind, target): (Option<i32>, &IoFileRedirectKind, &IoFileRedirectTarget),
        all: &mut Redirected,
        at: &Source,
    ) {
        use IoFileRedirectKind as Kind;
        use IoFileRedirectTarget as Target;
        match (kind, target) {
            (Kind::Write | Kind::Append | Kind::Clobber, Target::Filename(word)) => {
                if matches!(descriptor, None | Some(1)) {
                    self.output_to(state, word, all, at);
                } else if descriptor > Some(9) && self.dialect != Dialect::Bash {
                    // dash takes a number of several digits for a word that is printed.
                    self.output_to(state, word, all, at);
                    all.may_print_more = true;
                } else {
                    let path = self.text(state, &word.value, at);
                    all.may_fail |= path.as_deref() != Some("/dev/null");
                }
            }
            (Kind::Read, Target::Filename(word)) if matches!(descriptor, None | Some(0)) => {
                let path = self.text(state, &word.value, at);
                all.may_fail |= path.as_deref() != Some("/dev/null");
                all.input = path
                    .and_then(|path| directory::absolute(state, &path))
                    .and_then(|path| self.files.read(&path))
                    .map(|file| file.text);
            }
            (Kind::DuplicateOutput, Target::Duplicate(word)) if word.value == "2" => {
                if matches!(descriptor, None | Some(1)) {
                    all.output = Output::Dropped;
                }
            }
            (Kind::DuplicateOutput, Target::Duplicate(word)) if word.value == "1" => {}
            (Kind::DuplicateOutput, Target::Fd(1)) => {}
            _ => {
                if matches!(descriptor, None | Some(0 | 1)) {
                    all.output = Output::File(Word::unknown());
                    all.input = None;
                }
                all.may_fail = true;
            }
        }
    }

    fn output_to(
        &mut self,
        state: &mut State,
        word: &ast::Word,
        all: &mut Redirected,
        at: &Source,
    ) {
        let path = self.target(state, &word.value, at);
        all.may_fail |= path.known() != Some("/dev/null");
        let absolute = path
            .known()
            .and_then(|path| directory::absolute(state, path));
        all.output = Output::File(absolute.map_or(path, Word::new));
    }

    fn here_document(
        &mut self,
        state: &mut State,
        document: &IoHereDocument,
        at: &Source,
    ) -> Option<String> {
        let raw = &document.doc.value;
        if !document.requires_expansion || !raw.contains(['$', '`', '\\']) {
            return Some(raw.clone());
        }
        // Quotes are none there, as in double quotes.
        if raw.contains('\\') {
            state.forget(at);
            return None;
        }
        let quoted = format!("\"{}\"", raw.replace('"', "\\\""));
        self.text(state, &quoted, at)
    }

    /// A text is printed: into a file, or to whom collects it.
    pub(super) fn write(&mut self, redirected: &Redirected, text: Option<String>, at: &Source) {
        match &redirected.output {
            Output::Passed => {
                let text = text.filter(|text| text.is_empty() || !self.may_not_print());
                if let Some(collected) = self.collected.last_mut() {
                    let all = collected.text.take().zip(text);
                    let all = all.map(|(all, more)| all + &more);
                    collected.text = all.filter(|all| all.len() <= LONGEST);
                }
            }
            Output::Dropped => {}
            Output::File(path) => {
                let path = path.clone();
                let text = text.filter(|_| !redirected.may_print_more);
                if path.known() != Some("/dev/null") {
                    self.effect(Does::Writes { path, text }, at);
                }
            }
        }
    }
}
