//! The languages that code bytes hold shaders in.

/// A shading language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// The language of WebGPU.
    Wgsl,
    /// The language of Vulkan.
    Spirv,
    /// The language of Metal.
    Msl,
}

/// The properties of a language.
struct Facts {
    name: &'static str,
    entry_point: &'static str,
    is_text: bool,
}

impl Language {
    /// All languages, in the order of code bytes.
    pub const ALL: [Language; 3] = [Language::Wgsl, Language::Spirv, Language::Msl];

    const fn facts(self) -> Facts {
        match self {
            Self::Wgsl => Facts { name: "WGSL", entry_point: "main", is_text: true },
            Self::Spirv => Facts { name: "SPIR-V", entry_point: "main", is_text: false },
            Self::Msl => Facts { name: "MSL", entry_point: "main_", is_text: true },
        }
    }

    /// The name for messages.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The name of the entry point of every shader in this language.
    pub const fn entry_point(self) -> &'static str {
        self.facts().entry_point
    }

    /// Whether its shaders are UTF-8; others are little-endian words of 32 bits.
    pub const fn is_text(self) -> bool {
        self.facts().is_text
    }
}
