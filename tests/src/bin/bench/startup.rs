//! Start-up time on an empty and on a used database, and memory after the start.

use crate::Result;
use crate::samples::Millis;
use crate::server::Server;
use crate::table::Table;

/// Reports the first start, and starts once more on the data that is there now.
pub(crate) async fn measure(server: &mut Server, table: &mut Table) -> Result<()> {
    if let Some(first) = server.started_in() {
        table.put("start, first", format!("{} ms", Millis(first)));
        server.restart().await?;
    }
    if let Some(again) = server.started_in() {
        table.put("start, again", format!("{} ms", Millis(again)));
    }
    if let Some(memory) = server.memory() {
        table.put("memory after start", mebibytes(memory));
    }
    Ok(())
}

/// `bytes` for the table.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}
