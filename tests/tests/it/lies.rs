//! What a server on a script may try on ours: it does no harm, ends in bounded time, and is answered as it should be.

mod answers;
mod edus;
mod events;
mod invites;
mod joins;
mod requests;
mod shut_out;
mod silence;
mod transactions;

use super::scene::Scene;
