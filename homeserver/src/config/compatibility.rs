//! Section `compatibility`: what the specification has left behind and some still need.

use super::section::section;

section! {
    /// What the specification has left behind and some still need.
    "compatibility" Compatibility {
        /// Whether ?access_token= in the address is accepted beside the Authorization header. Old
        /// bots and bridges need it; addresses end up in logs, so turn it off if you have none.
        token_in_query: bool, default true;
    }
}
