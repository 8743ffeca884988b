//! The proofs of the protocol core: vectors, comparison with ruma, properties, hostile input.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod differential;
mod generated;
mod hostile;
mod limits;
mod properties;
mod ruma_room;
mod signers;
mod vectors;
mod visibility;
