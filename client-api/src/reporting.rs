//! Reports to those who run the server: one endpoint a file.

pub(crate) mod report_content;
pub(crate) mod report_room;
pub(crate) mod report_user;
