//! One process at a time on the same data: ids and positions are counted in memory.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Holds the data of a SQLite database for this process, until dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Locks a file beside `database`.
    ///
    /// # Errors
    /// [`Error::Locked`]: another process (or another store of this one) has it.
    pub(crate) fn take(database: &Path) -> Result<Self> {
        let path = beside(database, "lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::file(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(database.display().to_string())),
            Err(TryLockError::Error(error)) => Err(Error::file(&path, error)),
        }
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
