//! Which state a room's configuration takes: MSC4186, "RequiredStateRequest" and "Combining room configs".

use super::ask::{RequiredState, RoomConfig, StateElement};

const MEMBER: &str = "m.room.member";

impl StateElement {
    fn matches(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type
            .as_deref()
            .is_none_or(|wanted| wanted == event_type)
            && self
                .state_key
                .as_deref()
                .is_none_or(|wanted| wanted == state_key)
    }
}

impl RequiredState {
    /// Whether it takes this state. Under lazy loading, "everything" leaves out the members.
    fn takes(&self, event_type: &str, state_key: &str) -> bool {
        let counts = |element: &StateElement| {
            let is_everything = element.event_type.is_none() && element.state_key.is_none();
            !(self.lazy_members && is_everything && event_type == MEMBER)
        };
        let matching = |element: &&StateElement| element.matches(event_type, state_key);
        let included = self.include.iter().filter(matching).any(counts);
        included && !self.exclude.iter().any(|element| matching(&element))
    }
}

impl RoomConfig {
    /// Takes in what another configuration wants of the same room.
    pub(super) fn add(&mut self, other: &Self) {
        self.timeline_limit = self.timeline_limit.max(other.timeline_limit);
        for required in &other.required_state {
            if !self.required_state.contains(required) {
                self.required_state.push(required.clone());
            }
        }
    }

    /// Whether it takes this state by itself, not only where the timeline needs it.
    pub(super) fn takes(&self, event_type: &str, state_key: &str) -> bool {
        self.required_state
            .iter()
            .any(|required| required.takes(event_type, state_key))
    }

    /// Whether the members that the timeline needs are wanted.
    pub(super) fn is_lazy(&self) -> bool {
        self.required_state
            .iter()
            .any(|required| required.lazy_members)
    }

    /// The pairs of type and state key that it takes, if it names all of them.
    pub(super) fn pairs(&self) -> Option<Vec<(&str, &str)>> {
        let elements = self
            .required_state
            .iter()
            .flat_map(|required| &required.include);
        elements
            .map(|element| {
                Some((
                    element.event_type.as_deref()?,
                    element.state_key.as_deref()?,
                ))
            })
            .collect()
    }

    /// Whether it may take state that `old` did not.
    pub(super) fn widens(&self, old: &Self) -> bool {
        self.required_state
            .iter()
            .any(|required| !old.required_state.contains(required))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(event_type: Option<&str>, state_key: Option<&str>) -> StateElement {
        StateElement {
            event_type: event_type.map(str::to_owned),
            state_key: state_key.map(str::to_owned),
        }
    }

    fn config(
        include: &[StateElement],
        exclude: &[StateElement],
        lazy_members: bool,
    ) -> RoomConfig {
        let required = RequiredState {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
            lazy_members,
        };
        RoomConfig {
            timeline_limit: 1,
            required_state: vec![required],
        }
    }

    #[test]
    fn an_absent_key_matches_all() {
        let everything = config(&[element(None, None)], &[], false);
        assert!(everything.takes("m.room.name", "") && everything.takes(MEMBER, "@a:b"));
        let members = config(&[element(Some(MEMBER), None)], &[], false);
        assert!(members.takes(MEMBER, "@a:b") && !members.takes("m.room.name", ""));
        let of_key = config(&[element(None, Some(""))], &[], false);
        assert!(of_key.takes("m.room.name", "") && !of_key.takes(MEMBER, "@a:b"));
        assert!(!config(&[], &[], false).takes("m.room.name", ""));
    }

    #[test]
    fn exclusion_wins_and_lazy_loading_leaves_the_members_out() {
        let create = element(Some("m.room.create"), Some(""));
        let but_create = config(&[element(None, None)], std::slice::from_ref(&create), false);
        assert!(!but_create.takes("m.room.create", "") && but_create.takes("m.room.name", ""));
        let me = element(Some(MEMBER), Some("@me:b"));
        let lazy = config(&[element(None, None), me], &[], true);
        assert!(lazy.is_lazy() && lazy.takes("m.room.name", ""));
        assert!(lazy.takes(MEMBER, "@me:b") && !lazy.takes(MEMBER, "@other:b"));
    }

    /// SSS-15: the union of both; all members in one beat lazy members in the other.
    #[test]
    fn configurations_add_up() {
        let mut all = config(&[element(None, None)], &[], true);
        let mut other = config(&[element(Some(MEMBER), None)], &[], false);
        other.timeline_limit = 7;
        assert!(other.widens(&all));
        all.add(&other);
        assert_eq!(all.timeline_limit, 7);
        assert!(all.takes(MEMBER, "@other:b") && all.is_lazy());
        assert!(!other.widens(&all));
        assert!(all.pairs().is_none());
        let exact = config(&[element(Some("a"), Some("b"))], &[], true);
        assert_eq!(exact.pairs(), Some(vec![("a", "b")]));
    }
}
