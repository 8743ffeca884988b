//! Each step of the specification, with scripted answers.

use super::*;

/// What a scripted world answers.
#[derive(Default)]
struct World {
    well_known: &'static [(&'static str, &'static str)],
    services: &'static [(&'static str, &'static str, u16)],
}

/// Resolves `name`, and notes what was asked on the way.
fn resolve(world: &World, name: &str) -> (Target, Vec<String>) {
    let mut asked = Vec::new();
    let mut way = Resolution::of(name).unwrap();
    loop {
        way = match way.next() {
            Next::Found(target) => return (target, asked),
            Next::WellKnown { host } => {
                let answer = world.well_known.iter().find(|(of, _)| *of == host);
                asked.push(host);
                way.well_known(answer.map(|(_, server)| *server))
            }
            Next::Services { name } => {
                let found = world.services.iter().filter(|(of, ..)| *of == name);
                let records = found.map(|(_, target, port)| srv(0, 0, target, *port));
                let records = records.collect();
                asked.push(name);
                way.services(records, |_| 0)
            }
        };
    }
}

fn srv(priority: u16, weight: u16, target: &str, port: u16) -> Srv {
    Srv {
        priority,
        weight,
        port,
        target: target.to_owned(),
    }
}

/// Server-server API, "Resolving server names": number of the step, `Host` header, name of the certificate,
/// and place, for each of them.
#[test]
fn every_step_leads_to_its_place() {
    let nothing = World::default();
    let literal = World {
        well_known: &[
            ("a.example", "192.0.2.7"),
            ("b.example", "[2001:db8::7]:99"),
        ],
        ..World::default()
    };
    let port = World {
        well_known: &[("a.example", "d.example:443")],
        ..World::default()
    };
    let services = World {
        well_known: &[("a.example", "d.example")],
        services: &[
            ("_matrix-fed._tcp.d.example", "s.example.", 1),
            ("_matrix._tcp.d.example", "old.example", 2),
            ("_matrix-fed._tcp.b.example", "s.example", 3),
            ("_matrix._tcp.c.example", "old.example", 4),
        ],
    };
    let old_service = World {
        well_known: &[("a.example", "d.example")],
        services: &[("_matrix._tcp.d.example", "old.example", 2)],
    };
    let host = World {
        well_known: &[("a.example", "d.example")],
        ..World::default()
    };
    let invalid = World {
        well_known: &[("a.example", "not a name")],
        ..World::default()
    };
    for (world, name, number, authority, certificate, place) in [
        (
            &nothing,
            "192.0.2.1",
            "1",
            "192.0.2.1",
            "192.0.2.1",
            "192.0.2.1:8448",
        ),
        (
            &nothing,
            "192.0.2.1:8",
            "1",
            "192.0.2.1:8",
            "192.0.2.1",
            "192.0.2.1:8",
        ),
        (
            &nothing,
            "[2001:db8::1]:8",
            "1",
            "[2001:db8::1]:8",
            "[2001:db8::1]",
            "[2001:db8::1]:8",
        ),
        (
            &services,
            "a.example:8",
            "2",
            "a.example:8",
            "a.example",
            "a.example:8",
        ),
        (
            &literal,
            "a.example",
            "3.1",
            "192.0.2.7",
            "192.0.2.7",
            "192.0.2.7:8448",
        ),
        (
            &literal,
            "b.example",
            "3.1",
            "[2001:db8::7]:99",
            "[2001:db8::7]",
            "[2001:db8::7]:99",
        ),
        (
            &port,
            "a.example",
            "3.2",
            "d.example:443",
            "d.example",
            "d.example:443",
        ),
        (
            &services,
            "a.example",
            "3.3",
            "d.example",
            "d.example",
            "s.example:1",
        ),
        (
            &old_service,
            "a.example",
            "3.4",
            "d.example",
            "d.example",
            "old.example:2",
        ),
        (
            &host,
            "a.example",
            "3.5",
            "d.example",
            "d.example",
            "d.example:8448",
        ),
        (
            &services,
            "b.example",
            "4",
            "b.example",
            "b.example",
            "s.example:3",
        ),
        (
            &services,
            "c.example",
            "5",
            "c.example",
            "c.example",
            "old.example:4",
        ),
        (
            &nothing,
            "a.example",
            "6",
            "a.example",
            "a.example",
            "a.example:8448",
        ),
        (
            &invalid,
            "a.example",
            "6",
            "a.example",
            "a.example",
            "a.example:8448",
        ),
    ] {
        let (target, asked) = resolve(world, name);
        let found = (
            target.rule.number(),
            target.authority.as_str(),
            target.certificate.to_string(),
            target.places[0].to_string(),
        );
        let expected = (number, authority, certificate.to_owned(), place.to_owned());
        assert_eq!(found, expected, "{name} after {asked:?}");
    }
}

#[test]
fn nothing_more_is_asked_than_needed() {
    let world = World {
        well_known: &[("a.example", "d.example")],
        services: &[("_matrix-fed._tcp.d.example", "s.example", 1)],
    };
    for (name, expected) in [
        ("192.0.2.1", &[][..]),
        ("a.example:1", &[]),
        ("a.example", &["a.example", "_matrix-fed._tcp.d.example"]),
        (
            "b.example",
            &[
                "b.example",
                "_matrix-fed._tcp.b.example",
                "_matrix._tcp.b.example",
            ],
        ),
    ] {
        assert_eq!(resolve(&world, name).1, expected, "{name}");
    }
    assert_eq!(Resolution::of("no name"), None);
}

/// RFC 2782: by priority, and within it at random by weight; `.` is no place.
#[test]
fn services_are_ordered_by_priority_and_weight() {
    let records = || {
        vec![
            srv(20, 0, "last.example", 4),
            srv(10, 60, "heavy.example", 1),
            srv(10, 40, "light.example", 2),
            srv(10, 0, "none.example", 3),
            srv(0, 0, ".", 5),
        ]
    };
    for (random, expected) in [
        (0, ["none", "light", "heavy", "last"]),
        (1, ["light", "heavy", "none", "last"]),
        (40, ["light", "heavy", "none", "last"]),
        (41, ["heavy", "light", "none", "last"]),
        (100, ["heavy", "light", "none", "last"]),
    ] {
        let order: Vec<_> = srv::in_order(records(), |max| random.min(max))
            .map(|place| place.host.to_string())
            .collect();
        let expected = expected.map(|name| format!("{name}.example"));
        assert_eq!(order, expected, "with {random}");
    }
}
