//! Background tasks: who runs, who is started again, who is told to stop.
//!
//! A task takes no input; it looks at what is and does what is missing, so that starting it again
//! after a panic is always right.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, warn};

/// The pause before a task is started again; doubled each time until [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause: a task that always panics costs a log line a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A task that ran for this long counts as healthy again.
const HEALTHY_AFTER: Duration = Duration::from_secs(300);

/// The request to stop, as a task sees it.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Whether the process is going down.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when the process is going down; at once if it is already.
    pub(crate) async fn requested(&mut self) {
        // An error means that the supervisor is gone, which is a reason to stop as well.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// Runs tasks, starts them again when they panic, and stops them all together.
#[derive(Debug)]
pub(crate) struct Supervisor {
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub(crate) fn new() -> Self {
        Self {
            stopping: watch::Sender::new(false),
            tasks: JoinSet::new(),
        }
    }

    /// The request to stop, for those who are no tasks of this supervisor.
    pub(crate) fn stop_signal(&self) -> Stop {
        Stop(self.stopping.subscribe())
    }

    /// Starts a task. A panic is logged and the task made anew; returning ends it for good.
    ///
    /// The task must end soon after its [`Stop`] is requested.
    pub(crate) fn spawn<F, T>(&mut self, name: &'static str, make: F)
    where
        F: Fn(Stop) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop_signal();
        self.tasks.spawn(keep_running(name, make, stop));
    }

    /// Asks all to stop.
    pub(crate) fn request_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Asks all tasks to stop and waits for them, at most for `patience`; then they are dropped.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.request_stop();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(patience, all).await.is_err() {
            warn!("some background tasks did not stop in time and were dropped");
        }
    }
}

async fn keep_running<F, T>(name: &'static str, make: F, mut stop: Stop)
where
    F: Fn(Stop) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSE_MIN;
    loop {
        let started = Instant::now();
        // A task of its own, so that a panic ends only that one. The hook has logged its words.
        match tokio::spawn(make(stop.clone())).await {
            Ok(()) => return,
            Err(failure) if failure.is_cancelled() => return,
            Err(_) => error!(
                task = name,
                "a background task panicked; it is started again"
            ),
        }
        pause = if started.elapsed() >= HEALTHY_AFTER {
            PAUSE_MIN
        } else {
            pause
        };
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            () = stop.requested() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again() {
        let mut supervisor = Supervisor::new();
        let starts = Arc::new(AtomicU32::new(0));
        let (done, mut finished) = tokio::sync::mpsc::channel(1);
        let counted = Arc::clone(&starts);
        supervisor.spawn("shaky", move |_| {
            let (starts, done) = (Arc::clone(&counted), done.clone());
            async move {
                assert!(starts.fetch_add(1, Ordering::SeqCst) >= 2, "not yet");
                done.send(()).await.unwrap();
            }
        });
        finished.recv().await.unwrap();
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        supervisor.stop(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn stopping_waits_for_the_tasks() {
        let mut supervisor = Supervisor::new();
        let ended = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&ended);
        supervisor.spawn("obedient", move |mut stop| {
            let ended = Arc::clone(&counted);
            async move {
                stop.requested().await;
                ended.fetch_add(1, Ordering::SeqCst);
            }
        });
        supervisor.stop(Duration::from_secs(5)).await;
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }
}
