//! How far rewriting may change results.

use std::fmt;
use std::str::FromStr;

/// How far a rewrite may change results; each tier includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Bit for bit equal, except for the sign of zeros.
    Exact,
    /// A few roundings fewer or more, as by contraction.
    Contract,
    /// Sums and products in another order.
    Reassociate,
    /// Approximations within a declared tolerance.
    Fast,
}

impl Tier {
    /// All tiers, each after those that it includes.
    pub const ALL: [Tier; 4] = [Tier::Exact, Tier::Contract, Tier::Reassociate, Tier::Fast];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Exact => "exact",
            Tier::Contract => "contract",
            Tier::Reassociate => "reassoc",
            Tier::Fast => "fast",
        }
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Tier::ALL.map(|tier| (tier.name(), tier));
        let found = known.iter().find(|(name, _)| *name == text);
        found.map(|(_, tier)| *tier).ok_or_else(|| format!("`{text}` is not one of {}", known.map(|(name, _)| name).join(", ")))
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
