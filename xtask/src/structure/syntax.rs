//! What the source of one module defines and which paths it names.

use std::collections::BTreeMap;

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemUse, Lit, Macro, Meta, Path, TraitItem, UseTree, VisRestricted,
    parse::{ParseStream, Parser as _, discouraged::Speculative as _},
    visit::{self, Visit},
};

use super::conditions;

/// What the source of one module has, without its child modules' contents.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The child modules.
    pub(super) children: Vec<Child>,
    /// What a name in this module means, apart from child modules.
    pub(super) names: BTreeMap<String, Vec<Meaning>>,
    /// The paths whose names are all imported: `use a::b::*`.
    pub(super) globs: Vec<Vec<String>>,
    /// Each path that is named, in imports and elsewhere.
    pub(super) references: Vec<Reference>,
}

/// A child module.
#[derive(Debug)]
pub(super) struct Child {
    /// Its name.
    pub(super) name: String,
    /// What it has, if that is in the same file.
    pub(super) inline: Option<Contents>,
}

/// What a name in a module means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Something that is defined here and is not a module.
    Item,
    /// What is found at this path, seen from here.
    Import(Vec<String>),
}

/// A path that is named somewhere.
#[derive(Debug)]
pub(super) struct Reference {
    /// The segments of the path, such as `crate`, `say`, `time`.
    pub(super) path: Vec<String>,
    /// The line where it begins, counted from 1.
    pub(super) line: usize,
    /// Whether all that the path has is imported: `use a::b::*`.
    pub(super) glob: bool,
}

/// Reads the items of a module.
pub(super) fn read(items: &[Item]) -> Contents {
    let mut reader = Reader::default();
    for item in items {
        if !conditions::only_in_tests(conditions::of_item(item)) {
            reader.top_level(item);
        }
    }
    reader.0
}

/// What the strings among tokens are.
#[derive(Clone, Copy, PartialEq)]
enum Strings {
    AreText,
    NamePaths,
}

#[derive(Default)]
struct Reader(Contents);

impl Reader {
    /// Reads an item of the module itself, whose name other modules can use.
    fn top_level(&mut self, item: &Item) {
        let name = match item {
            Item::Mod(module) => {
                let content = module.content.as_ref();
                self.0.children.push(Child {
                    name: module.ident.to_string(),
                    inline: content.map(|(_, items)| read(items)),
                });
                return;
            }
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            self.mean(name.to_string(), Meaning::Item);
        }
        self.visit_item(item);
    }

    fn mean(&mut self, name: String, meaning: Meaning) {
        self.0.names.entry(name).or_default().push(meaning);
    }

    fn refer(&mut self, path: Vec<String>, line: usize) {
        let glob = false;
        self.0.references.push(Reference { path, line, glob });
    }

    /// Reads a part of an import; `before` is the path that leads to it.
    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `a::{self}` is `a`.
            if before.is_empty() || name != "self" {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(part) => self.import(&with(&part.ident), &part.tree),
            UseTree::Group(group) => {
                for part in &group.items {
                    self.import(before, part);
                }
            }
            UseTree::Name(leaf) => {
                let path = with(&leaf.ident);
                let name = path.last().cloned().unwrap_or_default();
                self.leaf(name, path, leaf.ident.span());
            }
            UseTree::Rename(leaf) => {
                self.leaf(
                    leaf.rename.to_string(),
                    with(&leaf.ident),
                    leaf.ident.span(),
                );
            }
            UseTree::Glob(glob) => {
                let path = before.to_vec();
                self.0.globs.push(path.clone());
                self.0.references.push(Reference {
                    path,
                    line: line(glob.star_token.spans[0]),
                    glob: true,
                });
            }
        }
    }

    /// Reads one name that is imported.
    fn leaf(&mut self, name: String, path: Vec<String>, span: Span) {
        self.refer(path.clone(), line(span));
        self.mean(name, Meaning::Import(path));
    }

    /// Finds the paths in the tokens of a macro or of an attribute, which have no
    /// syntax of their own.
    fn tokens(&mut self, tokens: TokenStream, strings: Strings) {
        let scan = |input: ParseStream<'_>| self.scan(input, strings);
        // Tokens as such always parse.
        let _: syn::Result<()> = scan.parse2(tokens);
    }

    fn scan(&mut self, input: ParseStream<'_>, strings: Strings) -> syn::Result<()> {
        while !input.is_empty() {
            let ahead = input.fork();
            if let Ok(path) = ahead.parse() {
                input.advance_to(&ahead);
                self.visit_expr_path(&path);
                continue;
            }
            match input.parse()? {
                TokenTree::Group(group) => self.tokens(group.stream(), strings),
                TokenTree::Literal(literal) if strings == Strings::NamePaths => {
                    self.literal(literal);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds the path in a string of an attribute: `serde(with = "crate::say")`.
    fn literal(&mut self, literal: Literal) {
        if let Lit::Str(text) = Lit::new(literal)
            && let Ok(path) = text.parse()
        {
            self.visit_path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !conditions::only_in_tests(conditions::of_item(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !conditions::only_in_tests(conditions::of_impl_item(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if !conditions::only_in_tests(conditions::of_trait_item(item)) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A path with a colon in front begins with another crate.
        if item.leading_colon.is_none() {
            self.import(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none()
            && path.segments.len() > 1
            && let Some(first) = path.segments.first()
        {
            let names = path.segments.iter();
            let names = names.map(|segment| segment.ident.to_string());
            self.refer(names.collect(), line(first.ident.span()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone(), Strings::AreText);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone(), Strings::NamePaths),
            // Documentation is text.
            Meta::NameValue(_) | Meta::Path(_) => {}
        }
    }

    /// Who may see something says nothing about what it uses.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

fn line(span: Span) -> usize {
    span.start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that a source names, with their lines.
    fn paths(source: &str) -> Vec<(usize, String)> {
        let file = syn::parse_file(source).unwrap();
        let references = read(&file.items).references.into_iter();
        references
            .map(|reference| (reference.line, reference.path.join("::")))
            .collect()
    }

    #[test]
    fn imports_are_taken_apart() {
        let source = "use crate::{\n    a::{self, B as C},\n    d::*,\n};\nuse ::std::io;\n";
        let expected = [(2, "crate::a"), (2, "crate::a::B"), (3, "crate::d")];
        assert_eq!(
            paths(source),
            expected.map(|(line, path)| (line, path.to_owned()))
        );
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        for source in [
            "fn f() -> super::a::B<u8> { todo() }",
            "fn f() { super::a::B(1) }",
            "fn f() { x(|| super::a::B { c }) }",
            "fn f() { use super::a::B; }",
            "fn f(c: &dyn super::a::B) {}",
            "impl super::a::B for C {}",
            "fn f() { println!(\"{}\", x.map(super::a::B)) }",
            "fn f() { assert!(matches!(c, super::a::B { .. })) }",
            "#[serde(with = \"super::a::B\")]\nstruct C;",
            "#[arg(value_parser = super::a::B)]\nstruct C;",
            "struct C { #[arg(default_value_t = super::a::B)] d: u8 }",
        ] {
            let found = paths(source);
            let found: Vec<_> = found.iter().map(|(_, path)| path.as_str()).collect();
            assert_eq!(found, ["super::a::B"], "{source}");
        }
    }

    #[test]
    fn what_names_no_path_is_left_alone() {
        for source in [
            "#[cfg(test)]\nuse super::a::B;",
            "#[cfg(test)]\nmod tests { use super::*; }",
            "impl C { #[cfg(test)] fn f() { super::a::B; } }",
            "/// See [`super::a::B`].\nstruct C;",
            "pub(in crate::a) struct C;",
            "fn f() { print!(\"super::a::B\", a: b, x.c, ::std::io) }",
            "fn f(c: D) -> E { c.d }",
        ] {
            assert_eq!(paths(source), [], "{source}");
        }
    }
}
