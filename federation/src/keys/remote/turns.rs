//! How many questions for keys are on their way at once, by what the keys are needed for: what anybody may cause takes no
//! turns from what is known to be wanted.

use tokio::sync::Semaphore;

use super::Need;

/// How many servers are asked at once for what requests, or events, need.
const SERVERS_MAX: usize = 64;

/// How many for those who take this server for a notary.
const FOR_OTHERS_MAX: usize = 16;

/// How many notaries are asked at once for what events need.
const NOTARIES_MAX: usize = 8;

/// How many for requests, which nobody has to have signed.
const NOTARIES_FOR_REQUESTS_MAX: usize = 4;

/// See the module.
pub(super) struct Turns {
    requests: Semaphore,
    events: Semaphore,
    others: Semaphore,
    notaries: Semaphore,
    notaries_for_requests: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            requests: Semaphore::new(SERVERS_MAX),
            events: Semaphore::new(SERVERS_MAX),
            others: Semaphore::new(FOR_OTHERS_MAX),
            notaries: Semaphore::new(NOTARIES_MAX),
            notaries_for_requests: Semaphore::new(NOTARIES_FOR_REQUESTS_MAX),
        }
    }
}

impl Turns {
    /// The turns for asking servers themselves.
    pub(super) fn at_servers(&self, need: Need) -> &Semaphore {
        match need {
            Need::Request => &self.requests,
            Need::Events => &self.events,
            Need::Others => &self.others,
        }
    }

    /// The turns for asking notaries.
    pub(super) fn at_notaries(&self, need: Need) -> &Semaphore {
        match need {
            Need::Request => &self.notaries_for_requests,
            Need::Events | Need::Others => &self.notaries,
        }
    }
}
