//! Tensor data that lies in files beside the model.

use super::node_error::{NodeError, NodeResult, invalid};
use lostwax_runtime::files::open_file;
use onnx_protobuf::StringStringEntryProto;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Reads `length` bytes from the place that the entries name, which must lie inside `folder`.
pub(super) fn read(entries: &[StringStringEntryProto], folder: Option<&Path>, length: usize) -> NodeResult<Vec<u8>> {
    let entry = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let Some(location) = entry("location") else { return invalid("external data without a location") };
    let path = inside(folder, location)?;
    let offset = number(entry("offset"))?.unwrap_or(0);
    if number(entry("length"))?.is_some_and(|stored| stored != length as u64) {
        return invalid(format!("external data in `{location}` does not have {length} bytes"));
    }
    read_range(&path, offset, length).map_err(|error| NodeError::Invalid(format!("cannot read `{location}`: {error}")))
}

fn number(text: Option<&str>) -> NodeResult<Option<u64>> {
    let parsed = text.map(|text| text.parse::<u64>()).transpose();
    parsed.map_err(|_| NodeError::Invalid(format!("`{}` is not an offset or length", text.unwrap_or(""))))
}

/// The path of a file in the folder. Links that lead out of it are refused as well.
fn inside(folder: Option<&Path>, location: &str) -> NodeResult<PathBuf> {
    let Some(folder) = folder else { return invalid("external data needs the folder of the model") };
    let relative = Path::new(location);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let resolved = folder.canonicalize().and_then(|root| Ok((folder.join(relative).canonicalize()?, root)));
    match resolved {
        _ if !plain => invalid(format!("external data `{location}` must lie in the folder of the model")),
        Ok((path, root)) if path.starts_with(&root) => Ok(path),
        Ok(_) => invalid(format!("external data `{location}` must lie in the folder of the model")),
        Err(error) => invalid(format!("cannot find external data `{location}`: {error}")),
    }
}

fn read_range(path: &Path, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut file = open_file(path)?;
    let size = file.metadata()?.len();
    if size.checked_sub(offset).is_none_or(|rest| rest < length as u64) {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file is too short"));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
