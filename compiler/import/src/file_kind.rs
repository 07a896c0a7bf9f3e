//! What a file is, by its contents.

/// What a file or folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An ONNX model.
    Onnx,
    /// A GGUF file.
    Gguf,
    /// A folder with a model as Hugging Face keeps it.
    Folder,
    /// A graph as text.
    GraphText,
    /// A safetensors file: an artifact, or weights without a graph.
    Safetensors,
    /// Something else, in words that follow "is".
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// Bytes at a position that only files of one format have.
const SIGNATURES: &[(usize, &[u8], FileKind)] = &[
    (0, b"GGUF", FileKind::Gguf),
    (0, b"\x93NUMPY", FileKind::Other("a NumPy array (.npy)")),
    (0, b"PK\x03\x04", FileKind::Other("a zip file, such as an .npz archive or a PyTorch checkpoint")),
    (0, b"\x80\x02", FileKind::Other("a Python pickle, such as a PyTorch checkpoint")),
    (0, b"\x80\x04", FileKind::Other("a Python pickle, such as a PyTorch checkpoint")),
    (0, b"\x89HDF\r\n\x1a\n", FileKind::Other("an HDF5 file, such as a Keras model")),
    (4, b"TFL3", FileKind::Other("a TensorFlow Lite model")),
    (0, b"\x89PNG", FileKind::Other("an image")),
    (0, b"\xff\xd8\xff", FileKind::Other("an image")),
    (0, b"\x7fELF", FileKind::Other("a program or library")),
    (0, b"%PDF", FileKind::Other("a PDF file")),
    (0, b"\x1f\x8b", FileKind::Other("a compressed file (gzip)")),
    (0, b"\x28\xb5\x2f\xfd", FileKind::Other("a compressed file (Zstandard)")),
];

/// The bytes that the fields of an ONNX `ModelProto` begin with.
const MODEL_FIELDS: &[u8] = &[0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xa2, 0xca];

impl FileKind {
    /// What a file of some length is that starts with these bytes.
    pub fn of_bytes(start: &[u8], length: u64) -> Self {
        let has = |(position, bytes): (usize, &[u8])| start.get(position..).is_some_and(|rest| rest.starts_with(bytes));
        let signed = SIGNATURES.iter().find(|(position, bytes, _)| has((*position, bytes)));
        match signed {
            Some((_, _, kind)) => *kind,
            None if is_safetensors(start, length) => Self::Safetensors,
            None => text(start).map_or_else(|| binary(start), of_text),
        }
    }

    /// The kind in words that follow "is".
    pub fn description(self) -> &'static str {
        match self {
            Self::Onnx => "an ONNX model",
            Self::Gguf => "a GGUF file",
            Self::Folder => "a model folder",
            Self::GraphText => "a graph as text",
            Self::Safetensors => "a safetensors file without a graph; give the folder that also holds its config.json",
            Self::Other(what) => what,
            Self::Unknown => "a file of unknown format",
        }
    }
}

/// Whether this is a length of a JSON object that lies in the file, and its start.
fn is_safetensors(start: &[u8], length: u64) -> bool {
    let header = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    start.get(8) == Some(&b'{') && header.is_some_and(|header| header < length)
}

/// The bytes as text, if they are some; a character may be cut off at the end.
fn text(start: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(start.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    let is_printed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(is_printed).then_some(text)
}

fn of_text(text: &str) -> FileKind {
    let text = text.trim_start();
    match text {
        "" => FileKind::Other("an empty file"),
        text if text.starts_with("graph \"") || text.starts_with("symbols {") => FileKind::GraphText,
        text if text.starts_with("kernel ") => FileKind::Other("a list of kernels, which cannot be compiled"),
        text if text.starts_with(['{', '[']) => FileKind::Other("a JSON file"),
        _ => FileKind::Other("a text file"),
    }
}

fn binary(start: &[u8]) -> FileKind {
    if start.first().is_some_and(|byte| MODEL_FIELDS.contains(byte)) { FileKind::Onnx } else { FileKind::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_tell_formats_apart() {
        let of = |bytes: &[u8]| FileKind::of_bytes(bytes, 100);
        assert_eq!(of(b"GGUF\x03\0\0\0"), FileKind::Gguf);
        assert_eq!(of(b"\x08\x08\x12\x04onnx"), FileKind::Onnx);
        assert_eq!(of(b"\x10\0\0\0\0\0\0\0{\"a\""), FileKind::Safetensors);
        assert_eq!(of(b"graph \"g\" {\n"), FileKind::GraphText);
        for (bytes, what) in [(&b"# lostwax\n"[..], "text"), (b"", "empty"), (b"{\"a\": 1}", "JSON"), (b"PK\x03\x04", "zip")] {
            assert!(matches!(of(bytes), FileKind::Other(found) if found.contains(what)), "{what}");
        }
        assert_eq!(of(b"\x01\x02\x03"), FileKind::Unknown);
    }

    #[test]
    fn text_may_be_cut_within_a_character() {
        assert_eq!(FileKind::of_bytes("grün".as_bytes().get(..3).unwrap(), 5), FileKind::Other("a text file"));
    }
}
