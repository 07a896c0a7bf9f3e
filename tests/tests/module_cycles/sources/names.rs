//! What names mean in the root of a crate.

use super::{ROOT, SourceFile};
use std::collections::{BTreeMap, BTreeSet};
use syn::{Ident, Item, ItemMacro, UseTree, Visibility};

/// The names of a crate's root.
#[derive(Default)]
pub struct RootNames {
    modules: BTreeSet<String>,
    /// The modules that imported names come from.
    imports: BTreeMap<String, String>,
    macros: BTreeMap<String, String>,
}

impl RootNames {
    /// The names of the root among `files`.
    pub fn new(files: &[SourceFile]) -> Self {
        let mut names =
            Self { modules: files.iter().filter_map(|file| file.module.first().cloned()).collect(), ..Self::default() };
        let roots: Vec<&SourceFile> = files.iter().filter(|file| file.module.is_empty()).collect();
        names.modules.extend(roots.iter().flat_map(|root| &root.items).filter_map(module_name));
        for file in files {
            names.add_macros(file);
        }
        for item in roots.iter().flat_map(|root| &root.items) {
            if let Item::Use(item) = item {
                names.import(&item.tree, None, files);
            }
        }
        names
    }

    /// The top-level module that a name of the root belongs to; names that the root defines belong to the root.
    pub fn owner(&self, name: &str) -> &str {
        self.known_owner(name).unwrap_or(ROOT)
    }

    /// The top-level module of a name, if it is a module or imported by the root.
    pub fn known_owner(&self, name: &str) -> Option<&str> {
        self.modules.get(name).or_else(|| self.imported(name)).map(String::as_str)
    }

    /// The top-level module that the root imports a name from.
    pub fn imported(&self, name: &str) -> Option<&String> {
        self.imports.get(name)
    }

    /// The top-level modules that the root imports from.
    pub fn all_imported(&self) -> BTreeSet<&str> {
        self.imports.values().map(String::as_str).collect()
    }

    /// The top-level module that defines a macro of that name.
    pub fn macro_owner(&self, name: &str) -> Option<&str> {
        self.macros.get(name).map(String::as_str)
    }

    fn add_macros(&mut self, file: &SourceFile) {
        let owner = file.module.first().map_or(ROOT, String::as_str);
        let macros = file.items.iter().filter_map(|item| if let Item::Macro(item) = item { Some(item) } else { None });
        let named = macros.filter_map(|item| Some((item.ident.as_ref()?.to_string(), item)));
        for (name, _) in named.filter(|(_, item)| owner == ROOT || is_exported(item)) {
            self.macros.insert(name.clone(), owner.to_string());
            if owner != ROOT {
                self.imports.insert(name, owner.to_string());
            }
        }
    }

    /// Notes the names that a `use` of the root imports from `owner`, or from the modules that they name.
    fn import(&mut self, tree: &UseTree, owner: Option<&str>, files: &[SourceFile]) {
        let name_owner = |ident: &Ident| owner.map(str::to_string).or_else(|| self.modules.get(&ident.to_string()).cloned());
        match tree {
            UseTree::Path(path) if owner.is_none() && (path.ident == "crate" || path.ident == "self") => {
                self.import(&path.tree, None, files);
            }
            UseTree::Path(path) => {
                if let Some(owner) = name_owner(&path.ident) {
                    self.import(&path.tree, Some(&owner), files);
                }
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, owner, files)),
            UseTree::Name(name) => {
                self.imports.extend(name_owner(&name.ident).map(|owner| (name.ident.to_string(), owner)));
            }
            UseTree::Rename(rename) => {
                self.imports.extend(name_owner(&rename.ident).map(|owner| (rename.rename.to_string(), owner)));
            }
            UseTree::Glob(_) => {
                let owner = owner.unwrap_or(ROOT);
                let files = files.iter().filter(|file| file.module.first().is_some_and(|module| module == owner));
                let exported = files.flat_map(|file| file.items.iter().filter_map(public_name));
                self.imports.extend(exported.map(|name| (name, owner.to_string())));
            }
        }
    }
}

fn module_name(item: &Item) -> Option<String> {
    if let Item::Mod(item) = item { Some(item.ident.to_string()) } else { None }
}

fn is_exported(item: &ItemMacro) -> bool {
    item.attrs.iter().any(|attr| attr.path().is_ident("macro_export") || attr.path().is_ident("macro_use"))
}

/// The name of an item that other modules see.
fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Mod(item) => (&item.vis, &item.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    (!matches!(visibility, Visibility::Inherited)).then(|| name.to_string())
}
