//! Temporary files that do not outlive the program, whether it ends by itself or by a signal.

use crate::signals;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// The temporary files that are there. Files are made, renamed and removed while this is locked, so that whoever holds the lock
/// knows all of them.
static FILES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn files() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files and calls `end` before others can be made.
fn remove_all(end: &dyn Fn()) {
    let files = files();
    for path in &*files {
        // The program ends because of a signal: nobody is left to be told.
        let _ = fs::remove_file(path);
    }
    end();
}

/// A temporary file with a random name; removed when dropped.
pub struct TemporaryFile(Option<NamedTempFile>);

impl TemporaryFile {
    /// Makes a file in a folder, with the permissions of files that programs make there.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Self::build(&mut builder, folder)
    }

    /// Makes a file in the system's folder for temporary files that nobody else may read.
    pub fn create_private() -> io::Result<Self> {
        Self::build(&mut tempfile::Builder::new(), &std::env::temp_dir())
    }

    fn build(builder: &mut tempfile::Builder, folder: &Path) -> io::Result<Self> {
        signals::clean_up_with(remove_all)?;
        builder.prefix(".lostwax-").rand_bytes(12);
        let mut files = files();
        let file = builder.tempfile_in(folder)?;
        files.insert(file.path().to_path_buf());
        Ok(Self(Some(file)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), NamedTempFile::path)
    }

    /// The open file.
    pub fn file(&self) -> io::Result<&File> {
        self.0.as_ref().map(NamedTempFile::as_file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives it another name, which may be that of a regular file, and makes sure that what was written survives a power cut.
    pub fn rename(mut self, target: &Path, permissions: Option<Permissions>) -> io::Result<()> {
        let file = self.file()?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        let mut files = files();
        let file = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        files.remove(file.path());
        // A file that cannot be renamed is removed when the error is dropped, which is before the lock is.
        file.persist(target).map_err(|failed| failed.error)?;
        drop(files);
        sync_folder(target)
    }
}

/// Makes sure that the names in the folder of a file survive a power cut.
#[cfg(unix)]
fn sync_folder(file: &Path) -> io::Result<()> {
    let synced = File::open(folder_of(file))?.sync_all();
    // Not every file system can sync folders.
    synced.or_else(|error| if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) })
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The folder of a file, also of one that is named without it.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl io::Seek for TemporaryFile {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.file()?.seek(position)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let mut files = files();
        if let Some(file) = self.0.take() {
            files.remove(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_vanish_unless_they_are_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let dropped = TemporaryFile::create(folder.path()).unwrap();
        assert!(dropped.path().is_file() && files().contains(dropped.path()));
        drop(dropped);
        assert!(names().is_empty());
        let mut renamed = TemporaryFile::create(folder.path()).unwrap();
        let path = renamed.path().to_path_buf();
        renamed.write_all(b"all of it").unwrap();
        renamed.rename(&folder.path().join("x"), None).unwrap();
        assert!(names() == ["x"] && !files().contains(&path));
        let lost = TemporaryFile::create(folder.path()).unwrap();
        assert!(lost.rename(&folder.path().join("nowhere/x"), None).is_err());
        assert_eq!(names(), ["x"]);
    }
}
