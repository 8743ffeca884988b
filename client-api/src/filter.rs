//! Filters.

pub(crate) mod define_filter;
pub(crate) mod get_filter;
