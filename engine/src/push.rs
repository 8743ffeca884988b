//! Push: which events notify whom, and how. Client-server API, "Push Notifications".

mod defaults;
pub(crate) mod rules;
