//! Work for the main runtime. A worker of actix is one thread that serves many connections: what takes long there
//! keeps all of them waiting. So what computes (a large sync, above all) runs beside the engine's own tasks.

use tokio::{runtime::Handle, task::JoinSet};

use crate::error::ApiError;

/// The main runtime.
#[derive(Clone)]
pub(crate) struct MainRuntime(Handle);

impl MainRuntime {
    /// The runtime that this is called on.
    pub(crate) fn current() -> Self {
        Self(Handle::current())
    }

    /// Runs `work` there and returns its result. Dropping the future stops the work.
    ///
    /// The work begins at once, so that whoever waits does not keep a place for it as well.
    ///
    /// # Errors
    /// 500: the work panicked, or the runtime is shutting down.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, ApiError>> + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        // A set of one: unlike a lone task, it takes its task with it when it is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.0);
        async move {
            match tasks.join_next().await {
                Some(Ok(result)) => Ok(result),
                // The panic hook has logged it with its place.
                Some(Err(_)) | None => Err(ApiError::failure()),
            }
        }
    }
}
