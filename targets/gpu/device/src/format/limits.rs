//! What shaders need of a GPU, and what it has.

/// Amounts: what a shader needs, what a GPU has, or what a profile allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Storage buffers of one shader.
    pub storage_buffers: u64,
    /// Bytes of the part of a storage buffer that is bound.
    pub binding_bytes: u64,
    /// Bytes of a buffer.
    pub buffer_bytes: u64,
    /// Bytes that the invocations of a workgroup share.
    pub workgroup_bytes: u64,
    /// Invocations of a workgroup.
    pub invocations: u64,
    /// Workgroups of a dispatch, in each of two dimensions.
    pub workgroups: u64,
}

/// The name of an amount for messages, and the amount.
type Amount = (&'static str, fn(&Limits) -> u64);

const AMOUNTS: [Amount; 6] = [
    ("storage buffers in a shader", |limits| limits.storage_buffers),
    ("bytes of a binding", |limits| limits.binding_bytes),
    ("bytes of a buffer", |limits| limits.buffer_bytes),
    ("bytes of workgroup memory", |limits| limits.workgroup_bytes),
    ("invocations in a workgroup", |limits| limits.invocations),
    ("workgroups in each dimension", |limits| limits.workgroups),
];

/// A limit that is too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Its name for messages.
    pub what: &'static str,
    /// How much is needed.
    pub needed: u64,
    /// How much there is.
    pub most: u64,
}

impl Limits {
    /// The first of these needs that exceeds what is available.
    pub fn shortage(&self, available: &Limits) -> Option<Shortage> {
        let amounts = AMOUNTS.iter().map(|(what, amount)| Shortage { what, needed: amount(self), most: amount(available) });
        amounts.into_iter().find(|shortage| shortage.needed > shortage.most)
    }
}
