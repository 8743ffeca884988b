//! Section `limits`: how much one user or address may ask for.

use super::section::section;

section! {
    /// How much one user or one address may ask for.
    "limits" Limits {
        /// Whether those who ask too often are told to wait. Off only for tests and measurements.
        rate_limits: bool, default true;
    }
}
