//! The active rooms: each has one worker, and all that changes a room goes through its mailbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ruma::RoomId;
use storage::RoomRow;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Error, Result, Subject, context::Context, peers::Peers, room::Room, room_meta::RoomMeta,
};

/// How many jobs may wait at one room; further callers wait for a place.
const MAILBOX_MAX: usize = 256;
/// After so long without a job a worker goes away; the room is read again at the next one.
const IDLE: Duration = Duration::from_secs(300);

type Job = Box<dyn for<'a> FnOnce(&'a mut Room) -> BoxFuture<'a, ()> + Send>;
type Mailboxes = HashMap<RoomRow, mpsc::Sender<Job>>;

/// The mailboxes of the rooms that have a worker now.
#[derive(Clone)]
pub(crate) struct Rooms {
    pub(crate) context: Arc<Context>,
    mailboxes: Arc<Mutex<Mailboxes>>,
    /// Where the workers run. Who asks may be on a thread that serves requests, which is no place for them.
    runtime: Handle,
}

/// One room, as those see it who want something of it.
#[derive(Clone)]
pub struct RoomHandle {
    pub(crate) context: Arc<Context>,
    pub(crate) meta: Arc<RoomMeta>,
    pub(crate) rooms: Rooms,
}

impl Rooms {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            mailboxes: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// The room with this id.
    pub(crate) async fn by_id(&self, id: &RoomId) -> Result<RoomHandle> {
        let meta = self.context.metas.by_id(id).await?;
        Ok(self.handle(meta))
    }

    /// The room of this row, which must exist.
    pub(crate) async fn by_row(&self, row: RoomRow) -> Result<RoomHandle> {
        let meta = self.context.metas.by_row(row).await?;
        Ok(self.handle(meta))
    }

    /// The other servers.
    ///
    /// # Errors
    /// [`Error::NotFound`]: this server talks to none, so that it knows only its own rooms.
    pub(crate) fn peers(&self) -> Result<&dyn Peers> {
        let peers = self.context.peers.get();
        let peers = peers.ok_or(Error::NotFound(Subject::Room))?;
        Ok(peers.as_ref())
    }

    /// Starts work that is done to its end, whether or not anybody waits for it, where the workers run.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Has the next job of a room done by a new worker, which reads the room anew.
    pub(crate) fn dismiss(&self, room: RoomRow) {
        lock(&self.mailboxes).remove(&room);
    }

    fn handle(&self, meta: Arc<RoomMeta>) -> RoomHandle {
        RoomHandle {
            context: self.context.clone(),
            meta,
            rooms: self.clone(),
        }
    }

    /// The room's mailbox; starts a worker if there is none.
    fn mailbox(&self, meta: &Arc<RoomMeta>) -> mpsc::Sender<Job> {
        let mut mailboxes = lock(&self.mailboxes);
        if let Some(mailbox) = mailboxes
            .get(&meta.row)
            .filter(|mailbox| !mailbox.is_closed())
        {
            return mailbox.clone();
        }
        let (mailbox, jobs) = mpsc::channel(MAILBOX_MAX);
        mailboxes.insert(meta.row, mailbox.clone());
        let worker = Worker {
            rooms: self.clone(),
            meta: meta.clone(),
            jobs,
        };
        self.runtime.spawn(worker.run());
        mailbox
    }
}

impl RoomHandle {
    /// Has the room's worker do `job`, after all that was asked of it before.
    ///
    /// The job runs to its end even if the returned future is dropped.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Room) -> BoxFuture<'a, Result<T>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |room| {
            Box::pin(async move {
                let result = job(room).await;
                room.settle(result.is_err());
                // The asker may have gone; what was done stays done.
                let _ = answer.send(result);
            })
        });
        let stopped = || Error::Internal("the room's worker stopped".to_owned());
        self.rooms
            .mailbox(&self.meta)
            .send(job)
            .await
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl RoomHandle {
    /// Starts work that is done to its end, whether or not anybody waits for it, where the workers run.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.rooms.runtime.spawn(work)
    }
}

struct Worker {
    rooms: Rooms,
    meta: Arc<RoomMeta>,
    jobs: mpsc::Receiver<Job>,
}

impl Worker {
    async fn run(mut self) {
        let mut room = None;
        loop {
            match tokio::time::timeout(IDLE, self.jobs.recv()).await {
                Ok(Some(job)) => self.serve(&mut room, job).await,
                Ok(None) => return,
                Err(_) if self.retire() => return,
                Err(_) => {}
            }
        }
    }

    /// Does one job; reads the room before if that is needed. If it cannot be read, the job is dropped, and its asker
    /// told so by that.
    async fn serve(&self, room: &mut Option<Room>, job: Job) {
        if room.as_ref().is_none_or(Room::is_stale) {
            match Room::load(self.rooms.context.clone(), self.meta.clone()).await {
                Ok(loaded) => *room = Some(loaded),
                Err(error) => {
                    tracing::error!(room = %self.meta.id, error = &error as &dyn std::error::Error, "cannot read the room");
                    *room = None;
                }
            }
        }
        if let Some(room) = room {
            job(room).await;
        }
    }

    /// Leaves the table of mailboxes, unless a job is on its way.
    fn retire(&mut self) -> bool {
        let mut mailboxes = lock(&self.rooms.mailboxes);
        let awaited = mailboxes
            .get(&self.meta.row)
            .is_some_and(|mailbox| mailbox.strong_count() > 1 || !self.jobs.is_empty());
        if awaited {
            return false;
        }
        mailboxes.remove(&self.meta.row);
        true
    }
}

fn lock(mailboxes: &Mutex<Mailboxes>) -> MutexGuard<'_, Mailboxes> {
    mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
}
