//! Whose turn it is to be told, and how many at once by one gateway.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Mutex,
};

use ruma::OwnedUserId;
use tokio::{sync::Notify, task};

use super::scores::lock;

/// How many users one gateway tells at once: half of all, so that one that takes its time does not hold up the others.
pub(super) const GATEWAY_TOGETHER: usize = 16;

/// Who waits to be told, and at which gateways.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<Waiting>,
    gateways: Mutex<HashMap<String, Gateway>>,
    pub(super) more: Notify,
}

/// First come, first served.
#[derive(Default)]
struct Waiting {
    order: VecDeque<OwnedUserId>,
    known: HashSet<OwnedUserId>,
}

#[derive(Default)]
struct Gateway {
    /// Who is told there, each by how many of their pushers.
    told: BTreeMap<OwnedUserId, usize>,
    /// Who found no place there.
    put_off: BTreeSet<OwnedUserId>,
}

/// A place at a gateway, free again when it is dropped.
pub(super) struct Place<'a> {
    turns: &'a Turns,
    gateway: String,
    user: OwnedUserId,
}

impl Turns {
    /// These users may have something to be told.
    pub(super) fn wake(&self, users: impl IntoIterator<Item = OwnedUserId>) {
        let mut waiting = lock(&self.waiting);
        for user in users {
            if waiting.known.insert(user.clone()) {
                waiting.order.push_back(user);
            }
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Who has waited for longest, of those who are not being told already.
    pub(super) fn next(&self, running: &BTreeMap<task::Id, OwnedUserId>) -> Option<OwnedUserId> {
        let mut waiting = lock(&self.waiting);
        let running: HashSet<&OwnedUserId> = running.values().collect();
        let free = |user: &OwnedUserId| !running.contains(user);
        let index = waiting.order.iter().position(free)?;
        let next = waiting.order.remove(index)?;
        waiting.known.remove(&next);
        Some(next)
    }

    /// A place at a gateway; `None` if it is busy with others. The user's turn comes again when it is not.
    pub(super) fn place(&self, gateway: &str, user: &OwnedUserId) -> Option<Place<'_>> {
        let mut gateways = lock(&self.gateways);
        let at = gateways.entry(gateway.to_owned()).or_default();
        if !at.told.contains_key(user) && at.told.len() >= GATEWAY_TOGETHER {
            at.put_off.insert(user.clone());
            return None;
        }
        *at.told.entry(user.clone()).or_default() += 1;
        Some(Place {
            turns: self,
            gateway: gateway.to_owned(),
            user: user.clone(),
        })
    }

    /// Wakes those for whom there is a place at their gateway now.
    pub(super) fn wake_put_off(&self) {
        let mut woken = Vec::new();
        lock(&self.gateways).retain(|_, at| {
            woken.extend(at.called());
            !at.told.is_empty() || !at.put_off.is_empty()
        });
        if !woken.is_empty() {
            self.wake(woken);
        }
    }
}

impl Gateway {
    /// As many of those who were put off as there are places.
    fn called(&mut self) -> Vec<OwnedUserId> {
        let free = GATEWAY_TOGETHER.saturating_sub(self.told.len());
        let called = std::iter::from_fn(|| self.put_off.pop_first());
        called.take(free).collect()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut gateways = lock(&self.turns.gateways);
        let Some(at) = gateways.get_mut(&self.gateway) else {
            return;
        };
        if let Some(count) = at.told.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                at.told.remove(&self.user);
            }
        }
        let called = at.called();
        if at.told.is_empty() && at.put_off.is_empty() {
            gateways.remove(&self.gateway);
        }
        drop(gateways);
        if !called.is_empty() {
            self.turns.wake(called);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::UserId;

    use super::*;

    fn user(name: &str) -> OwnedUserId {
        UserId::parse(format!("@{name}:here")).expect("a user id")
    }

    #[tokio::test]
    async fn who_waits_for_longest_comes_first_unless_they_are_being_told() {
        let turns = Turns::default();
        turns.wake(["zoe", "bob", "zoe", "al"].map(user));
        let task = tokio::spawn(async {});
        let running = BTreeMap::from([(task.id(), user("zoe"))]);
        assert_eq!(turns.next(&running), Some(user("bob")));
        turns.wake([user("bob")]);
        let order: Vec<_> = std::iter::from_fn(|| turns.next(&BTreeMap::new())).collect();
        assert_eq!(order, ["zoe", "al", "bob"].map(user));
    }

    #[test]
    fn a_gateway_that_is_busy_has_others_wait_and_calls_them() {
        let turns = Turns::default();
        let none = BTreeMap::new();
        let mut places: Vec<_> = (0..GATEWAY_TOGETHER)
            .map(|n| turns.place("slow", &user(&n.to_string())))
            .collect();
        assert!(places.iter().all(Option::is_some));
        let second = turns.place("slow", &user("0"));
        assert!(second.is_some(), "another pusher of one who is there");
        drop(second);
        assert!(turns.place("slow", &user("late")).is_none());
        assert!(turns.place("quick", &user("late")).is_some());
        assert_eq!(turns.next(&none), None);
        places.pop();
        assert_eq!(turns.next(&none), Some(user("late")));
        // Who was called and does not come leaves the place to others.
        assert!(turns.place("slow", &user("next")).is_some());
        drop(places);
        turns.wake_put_off();
        assert_eq!(turns.next(&none), None);
        assert!(lock(&turns.gateways).is_empty());
    }
}
