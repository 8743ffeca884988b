//! Section `server`: who this server is and where it keeps its files.

use std::path::PathBuf;

use ruma::OwnedServerName;

use super::section::section;
use super::value::{Count, RoomVersion};

section! {
    /// Who this server is, and where it keeps its files.
    "server" Server {
        /// The server's name: the part after the colon in @alice:example.org.
        /// It is written into every event and can never be changed later.
        name: OwnedServerName, required "example.org";

        /// The directory for everything that is kept in files: the SQLite database, the lock.
        /// It is created when missing.
        data_dir: PathBuf, default "data";

        /// The version of new rooms whose creator does not ask for one. Some people's servers and programs know only
        /// older ones than the newest.
        default_room_version: RoomVersion, default "12";

        /// How many threads answer requests, on each listener. 0: one for each core.
        workers: Count, default 0;
    }
}
