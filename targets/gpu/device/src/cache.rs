//! Pipelines kept in a folder between processes.

use crate::errors::NAME;
use lostwax_target_api::DeviceError;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wgpu::{AdapterInfo, PipelineCache};

/// The environment variable that names the folder.
pub(crate) const VARIABLE: &str = "LOSTWAX_PIPELINE_CACHE";

const MAGIC: &[u8] = b"lostwax pipelines 1\n";

/// The file that the pipelines of a GPU are kept in.
pub(crate) struct CacheFile {
    folder: PathBuf,
    name: String,
    /// The checksum of what is in the file, if it is valid.
    stored: Mutex<Option<u64>>,
}

impl CacheFile {
    /// The file of a GPU in the folder that the environment names, and its content; nothing without a folder or where drivers keep
    /// pipelines themselves.
    pub(crate) fn find(info: &AdapterInfo) -> Option<(Self, Option<Vec<u8>>)> {
        let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty())?;
        Some(Self::read(folder.into(), wgpu::util::pipeline_cache_key(info)?))
    }

    /// A file that is damaged or cannot be read counts as empty.
    fn read(folder: PathBuf, name: String) -> (Self, Option<Vec<u8>>) {
        let content = std::fs::read(folder.join(&name)).ok().and_then(|bytes| open(&bytes).map(<[u8]>::to_vec));
        let stored = Mutex::new(content.as_deref().map(checksum));
        (Self { folder, name, stored }, content)
    }

    /// Writes what a cache holds, if that is new.
    ///
    /// # Errors
    /// [`DeviceError::Inaccessible`] if the folder cannot be written.
    pub(crate) fn keep(&self, cache: &PipelineCache) -> Result<(), DeviceError> {
        let Some(content) = cache.get_data() else { return Ok(()) };
        self.write(&content).map_err(|error| DeviceError::Inaccessible {
            device: NAME.into(),
            path: self.folder.display().to_string(),
            problem: format!("{error}; {VARIABLE} names it as the folder of pipelines"),
        })
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = checksum(content);
        if *stored == Some(sum) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)?;
        replace(&self.folder.join(&self.name), &close(content))?;
        *stored = Some(sum);
        Ok(())
    }
}

/// Puts a file in the place of another at once.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_extension(format!("{:016x}.part", random()));
    let written = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// A number that no other writer of the folder has, in this process or another one, even with the same process id.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A file with this content.
fn close(content: &[u8]) -> Vec<u8> {
    [MAGIC, &checksum(content).to_le_bytes(), content].concat()
}

/// The content of a file, if it is what was written.
fn open(file: &[u8]) -> Option<&[u8]> {
    let (sum, content) = file.strip_prefix(MAGIC)?.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == checksum(content)).then_some(content)
}

/// Another release of the standard library may compute another number; the file then counts as empty.
fn checksum(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_do_not_disturb_each_other() {
        let folder = std::env::temp_dir().join(format!("lostwax-cache-{:016x}", random()));
        let contents: Vec<Vec<u8>> = (1..9).map(|writer| vec![writer; 1 << 18]).collect();
        std::thread::scope(|scope| {
            for content in &contents {
                let (file, _) = CacheFile::read(folder.clone(), "pipelines".into());
                scope.spawn(move || (0..20).for_each(|round| file.write(&content[round..]).unwrap()));
            }
        });
        let (_, kept) = CacheFile::read(folder.clone(), "pipelines".into());
        let kept = kept.expect("a file that is whole");
        assert!(contents.iter().any(|content| content.starts_with(&kept)));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "a part is left");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damage_is_found() {
        let file = close(b"pipelines");
        assert_eq!(open(&file), Some(b"pipelines".as_slice()));
        for position in 0..file.len() {
            assert_eq!(open(&file[..position]), None);
            let mut damaged = file.clone();
            damaged[position] ^= 1;
            assert_eq!(open(&damaged), None, "byte {position} may differ");
        }
    }
}
