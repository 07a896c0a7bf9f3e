//! Files that the program writes.
//!
//! Whatever is written goes to a temporary file first. A regular file, or a name that is not taken, then gets all of it at once:
//! nobody sees half of it, several programs may write to one name, and readers of an older file are not disturbed. Devices, FIFOs
//! and stdout are written to when all of it is there. Links are followed, never replaced.

use crate::console::Console;
use crate::error::CliError;
use crate::stdout;
use crate::temporary::{TemporaryFile, folder_of};
use lostwax_compiler::error::CompileError;
use lostwax_runtime::format::FormatError;
use lostwax_runtime::{Model, RuntimeError};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The maximum number of links on the way to a file.
const MAX_LINKS: usize = 40;

/// Where the bytes belong.
enum Destination {
    /// A name in a folder, with the permissions of the file that has it.
    File(PathBuf, Option<Permissions>),
    /// A device, a FIFO, or a file without a name.
    Stream(PathBuf),
    Stdout,
}

/// A file while it is written; nothing is left of it unless it is finished.
pub struct OutputFile {
    /// The name that the user gave.
    name: PathBuf,
    destination: Destination,
    draft: BufWriter<TemporaryFile>,
    failed: bool,
}

impl OutputFile {
    /// A file without bytes. Fails at once where no file can be written.
    pub fn create(name: &Path) -> Result<Self, CliError> {
        let destination = destination(name).map_err(CliError::io(name))?;
        let draft = match &destination {
            Destination::File(path, _) => TemporaryFile::create(folder_of(path)),
            Destination::Stream(_) | Destination::Stdout => TemporaryFile::create_private(),
        };
        let draft = draft.map_err(CliError::io(name))?;
        Ok(Self { name: name.to_path_buf(), destination, draft: BufWriter::new(draft), failed: false })
    }

    /// Writes a file.
    pub fn write(name: &Path, bytes: &[u8]) -> Result<(), CliError> {
        let mut file = Self::create(name)?;
        file.write_all(bytes).map_err(CliError::io(name))?;
        file.finish()
    }

    /// The model that was written.
    pub fn open_model(&mut self) -> Result<Model, CliError> {
        self.flush().map_err(CliError::io(&self.name))?;
        Ok(Model::open(self.draft.get_ref().path())?)
    }

    /// Puts all of it where it belongs.
    pub fn finish(self) -> Result<(), CliError> {
        let name = self.name;
        let draft = self.draft.into_inner().map_err(|failed| CliError::io(&name)(failed.into_error()))?;
        match self.destination {
            Destination::File(path, permissions) => replace(draft, &path, permissions).map_err(CliError::io(name)),
            Destination::Stream(path) => copy_to(draft, &path).map_err(CliError::io(name)),
            Destination::Stdout => stdout::copy(rewound(&draft).map_err(CliError::io(name))?),
        }
    }

    /// The error of what wrote the file, which names the file if that is what could not be written.
    pub fn explain(&self, error: CliError) -> CliError {
        match error {
            CliError::Compile(CompileError::Format(FormatError::Io(source)))
            | CliError::Runtime(RuntimeError::Artifact(FormatError::Io(source)))
                if self.failed =>
            {
                CliError::Io { path: self.name.clone(), source }
            }
            other => other,
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.draft.write(bytes);
        self.failed |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.draft.flush();
        self.failed |= flushed.is_err();
        flushed
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.draft.seek(position)
    }
}

/// Whether a name stands for stdin or stdout.
pub fn is_standard(name: &Path) -> bool {
    name.as_os_str() == "-"
}

/// Refuses `-` where stdout is a terminal or carries the result as JSON.
pub fn check_stdout(name: &Path, console: &Console) -> Result<(), CliError> {
    match is_standard(name) {
        true if console.is_json() => Err(CliError::usage("`-o -` and --json both write to stdout; give a file")),
        true if io::stdout().is_terminal() => Err(CliError::usage("`-o -` writes bytes, and stdout is a terminal; give a file")),
        true | false => Ok(()),
    }
}

fn destination(name: &Path) -> io::Result<Destination> {
    if is_standard(name) {
        return Ok(Destination::Stdout);
    }
    let path = follow(name)?;
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::metadata(name) {
            Ok(_) => Ok(Destination::Stream(name.to_path_buf())),
            Err(_) => Ok(Destination::File(path, None)),
        },
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
        Ok(found) if found.is_file() => permitted(path, found.permissions()),
        Ok(_) => Ok(Destination::Stream(name.to_path_buf())),
    }
}

fn permitted(path: PathBuf, permissions: Permissions) -> io::Result<Destination> {
    if permissions.readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the existing file is not writable"));
    }
    Ok(Destination::File(path, Some(permissions)))
}

/// The end of a chain of links.
fn follow(name: &Path) -> io::Result<PathBuf> {
    let mut path = name.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            Ok(_) | Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other(format!("it is behind more than {MAX_LINKS} symbolic links")))
}

fn replace(draft: TemporaryFile, path: &Path, permissions: Option<Permissions>) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(io::Error::other("it is no longer a regular file")),
        Ok(_) | Err(_) => draft.rename(path, permissions),
    }
}

fn copy_to(draft: TemporaryFile, path: &Path) -> io::Result<()> {
    let mut stream = File::options().write(true).truncate(true).open(path)?;
    io::copy(&mut rewound(&draft)?, &mut stream)?;
    stream.flush()
}

fn rewound(draft: &TemporaryFile) -> io::Result<&File> {
    let mut file = draft.file()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn links_are_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("inner")).unwrap();
        symlink("inner/file", path("link")).unwrap();
        symlink("link", path("chain")).unwrap();
        for content in ["made", "replaced"] {
            OutputFile::write(&path("chain"), content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(path("inner/file")).unwrap(), content);
            assert!(path("chain").is_symlink() && path("link").is_symlink());
        }
        symlink("round", path("round")).unwrap();
        assert!(OutputFile::write(&path("round"), b"").is_err());
        assert_eq!(fs::read_dir(path("inner")).unwrap().count(), 1);
    }

    #[test]
    fn devices_are_written_to() {
        OutputFile::write(Path::new("/dev/null"), b"gone").unwrap();
        let full = OutputFile::write(Path::new("/dev/full"), b"too much").unwrap_err();
        assert!(full.to_string().starts_with("/dev/full: No space left"), "{full}");
        for device in ["/dev/null", "/dev/full"] {
            assert!(fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
        }
    }

    #[test]
    fn permissions_are_those_of_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        fs::write(path("other"), "").unwrap();
        OutputFile::write(&path("new"), b"").unwrap();
        assert_eq!(mode("new"), mode("other"));
        fs::set_permissions(path("new"), Permissions::from_mode(0o640)).unwrap();
        OutputFile::write(&path("new"), b"again").unwrap();
        assert_eq!(mode("new"), 0o640);
        fs::set_permissions(path("new"), Permissions::from_mode(0o440)).unwrap();
        assert!(OutputFile::write(&path("new"), b"no").is_err());
        assert_eq!(fs::read(path("new")).unwrap(), b"again");
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = OutputFile::create(&folder.path().join("x")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(OutputFile::create(folder.path()).is_err());
        assert!(OutputFile::create(&folder.path().join("nowhere/x")).is_err());
    }
}
