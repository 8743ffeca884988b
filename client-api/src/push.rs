//! Push rules.

pub(crate) mod get_pushrules_all;
