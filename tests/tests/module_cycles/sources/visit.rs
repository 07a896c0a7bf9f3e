//! The paths in a file that lead to other modules.

use super::names::RootNames;
use super::{ROOT, Reference, SourceFile, is_test};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility};

/// What a file uses of other top-level modules than its own.
pub fn references(file: &SourceFile, names: &RootNames) -> Vec<Reference> {
    let mut visitor = Visitor { file, names, module: file.module.clone(), found: Vec::new() };
    file.items.iter().for_each(|item| visitor.visit_item(item));
    visitor.found
}

struct Visitor<'a> {
    file: &'a SourceFile,
    names: &'a RootNames,
    /// The path of the module at hand, in inline modules too.
    module: Vec<String>,
    found: Vec<Reference>,
}

impl Visitor<'_> {
    fn found(&mut self, to: &str, line: usize) {
        let from = self.module.first().map_or(ROOT, String::as_str).to_string();
        let (to, place) = (to.to_string(), format!("{}:{line}", self.file.path.display()));
        self.found.push(Reference { from, to, place });
    }

    /// Notes what a path leads to; `*` ends the path of a glob.
    fn path(&mut self, segments: &[String], line: usize) {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        let rest = match segments.first().map(String::as_str) {
            Some("crate") => &segments[1..],
            Some("super") if ups >= self.module.len() => &segments[ups..],
            Some("self") if self.module.is_empty() => &segments[1..],
            Some(first) if self.module.is_empty() => {
                let is_local = segments.len() == 1 && self.names.imported(first).is_none();
                if let Some(owner) = self.names.known_owner(first).filter(|_| !is_local) {
                    self.found(owner, line);
                }
                return;
            }
            _ => return,
        };
        match rest.first().map(String::as_str) {
            Some("*") => {
                let all: Vec<String> = self.names.all_imported().into_iter().map(str::to_string).collect();
                all.iter().for_each(|owner| self.found(owner, line));
                self.found(ROOT, line);
            }
            Some(name) => self.found(self.names.owner(name), line),
            None => {}
        }
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(tree, before)),
            UseTree::Name(name) if name.ident == "self" => self.path(before, name.span().start().line),
            UseTree::Name(name) => self.path(&with(name.ident.to_string()), name.span().start().line),
            UseTree::Rename(rename) => self.path(&with(rename.ident.to_string()), rename.span().start().line),
            UseTree::Glob(glob) => self.path(&with("*".to_string()), glob.span().start().line),
        }
    }

    /// Notes the paths in the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => at = self.token_path(&tokens, at, first),
                _ => {}
            }
            at += 1;
        }
    }

    /// Notes the path that begins at a token; gives the position of its last token.
    fn token_path(&mut self, tokens: &[TokenTree], start: usize, first: &Ident) -> usize {
        let (mut segments, mut at) = (vec![first.to_string()], start);
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        while is_colon(at + 1) && is_colon(at + 2) {
            match tokens.get(at + 3) {
                Some(TokenTree::Ident(next)) => segments.push(next.to_string()),
                Some(TokenTree::Group(group)) => {
                    self.token_group(&segments, group.stream());
                    return at + 3;
                }
                _ => break,
            }
            at += 3;
        }
        self.path(&segments, first.span().start().line);
        at
    }

    /// Notes the paths of `before::{...}`.
    fn token_group(&mut self, before: &[String], group: TokenStream) {
        let text = format!("use {}::{{{group}}};", before.join("::"));
        let line = group.span().start().line;
        if let Ok(item) = syn::parse_str::<ItemUse>(&text) {
            let known = self.found.len();
            self.use_tree(&item.tree, &[]);
            let place = format!("{}:{line}", self.file.path.display());
            self.found[known..].iter_mut().for_each(|reference| reference.place.clone_from(&place));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_in_tests = matches!(item, ImplItem::Fn(method) if is_test(&method.attrs));
        if !is_in_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        item.content.iter().flat_map(|(_, items)| items).for_each(|item| self.visit_item(item));
        self.module.pop();
    }

    /// What the root exports counts where it is used.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_export = self.module.is_empty() && !matches!(item.vis, Visibility::Inherited);
        if item.leading_colon.is_none() && !is_export {
            self.use_tree(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.path(&segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if let Some(owner) = self.names.macro_owner(&name) {
            self.found(owner, call.span().start().line);
        }
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let (false, Ok(list)) = (attribute.path().is_ident("doc"), attribute.meta.require_list()) {
            self.tokens(list.tokens.clone());
        }
    }

    /// `pub(in path)` does not use the module that it names.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
