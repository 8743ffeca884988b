//! The proofs of the protocol core: vectors, comparison with ruma, properties, hostile input.

mod differential;
mod generated;
mod limits;
mod properties;
mod ruma_room;
mod vectors;
