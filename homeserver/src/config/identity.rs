//! Section `identity`: who knows whose an e-mail address is.

use super::section::section;
use super::value::ServerGlob;

section! {
    /// Identity servers, which know whose an e-mail address or a telephone number is.
    "identity" Identity {
        /// Those by which your users may invite, by name without port; `*` and `?` stand for any text and
        /// any character. None: nobody is invited by an address.
        servers: Vec<ServerGlob>, default [];
    }
}
