//! What is promised about the configuration as a whole.

use std::path::Path;

use ruma::RoomVersionId;

use super::source::{Origin, variable};
use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: Vec<FlagValue>,
) -> Result<Config, Vec<String>> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_layers(Some((Path::new("rookery.toml"), file)), environment, flags)
        .map_err(|Problems(problems)| problems.iter().map(ToString::to_string).collect())
}

fn named() -> Vec<FlagValue> {
    vec![("server.name", "--server-name", Raw::from("example.org"))]
}

#[test]
fn the_example_file_is_the_defaults() {
    let example = example();
    assert_eq!(
        load(&example, &[], Vec::new()),
        load("", &[], named()),
        "{example}"
    );
}

/// Also with every `#` taken away: defaults change nothing, and the examples are good values.
#[test]
fn every_line_of_the_example_file_can_be_used() {
    let active: String = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && rest.contains(" = ") => rest,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = load(&active, &[], Vec::new()).unwrap_or_else(|why| panic!("{why:#?}\n{active}"));
    let defaults = load("", &[], named()).unwrap();
    assert_eq!(config.limits, defaults.limits);
    assert_eq!(config.log, defaults.log);
    assert_eq!(config.metrics, defaults.metrics);
    assert_eq!(config.client.addresses, defaults.client.addresses);
    assert!(config.registration.shared_secret.is_some());
}

#[test]
fn a_room_version_is_one_that_can_be_created() {
    for written in ["11", r#""11""#] {
        let file = format!("server.default_room_version = {written}");
        let config = load(&file, &[], named()).unwrap();
        assert_eq!(config.server.default_room_version.0, RoomVersionId::V11);
    }
    for unknown in ["13", r#""next""#, "true"] {
        let file = format!("server.default_room_version = {unknown}");
        load(&file, &[], named()).unwrap_err();
    }
}

#[test]
fn every_key_has_a_manual_and_a_variable_of_its_own() {
    let keys = keys();
    let mut variables: Vec<String> = keys.iter().map(|key| variable(key.name)).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), keys.len(), "two keys share a variable");
    for key in keys {
        let manual: String = key.manual.concat();
        assert!(
            manual.trim().len() > 10,
            "{} says too little: {manual}",
            key.name
        );
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[server]\nname = \"file.example\"\ndata_dir = \"from-file\"\nworkers = 3\n";
    let environment = [
        ("ROOKERY_SERVER_DATA_DIR", "from-environment"),
        ("ROOKERY_SERVER_NAME", "env.example"),
    ];
    let config = load(file, &environment, named()).unwrap();
    assert_eq!(config.server.name, "example.org");
    assert_eq!(config.server.data_dir, Path::new("from-environment"));
    assert_eq!(config.server.workers.0, 3);
}

#[test]
fn other_variables_are_left_alone_but_misspelt_ones_are_not() {
    let environment = [
        ("HOME", "/root"),
        ("ROOKERY_CONFIG", "x"),
        ("ROOKERY_LOG_FILTR", "info"),
    ];
    let problems = load("", &environment, named()).unwrap_err();
    assert_eq!(
        problems,
        ["config: ROOKERY_LOG_FILTR: there is no such key; did you mean ROOKERY_LOG_FILTER?"]
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_its_cure() {
    let listeners = "[listeners.client]\naddresses = [\"localhost\"]";
    let tls = "[listeners.federation]\naddresses = [\"[::]:8448\"]\ntls_cert = \"a.pem\"";
    for (file, message) in [
        (
            "[limits]\nrate_limits = \"x\"",
            "config: limits.rate_limits: expected true or false, got \"x\" (rookery.toml, line 2)",
        ),
        (
            "[limits]\n\nrate_limit = true",
            "config: limits.rate_limit: there is no such key; did you mean limits.rate_limits? \
             (rookery.toml, line 3)",
        ),
        (
            "[nonsense]\nkey = 1",
            "config: nonsense: there is no such key; `homeserver config example` lists all \
             (rookery.toml, line 1)",
        ),
        (
            listeners,
            "config: listeners.client.addresses: expected a list of addresses with ports like \
             [\"127.0.0.1:8008\"], got [\"localhost\"] (rookery.toml, line 2)",
        ),
        (
            tls,
            "config: listeners.federation.tls_cert: is set without listeners.federation.tls_key; \
             TLS needs both (rookery.toml, line 3)",
        ),
        (
            "[registration]\nshared_secret = \"short\"",
            "config: registration.shared_secret: expected a text of at least 8 characters that is \
             hard to guess, got one of 5 (rookery.toml, line 2)",
        ),
        (
            "limits = 3",
            "config: limits: there is no such key; `homeserver config example` lists all \
             (rookery.toml, line 1)",
        ),
    ] {
        assert_eq!(load(file, &[], named()).unwrap_err(), [message], "{file}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let file = "[log]\nformat = \"xml\"\n[database]\nurl = \"oracle://x\"\nreaders = -1";
    let problems = load(file, &[], Vec::new()).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(
        problems[0].contains("server.name: is missing"),
        "{problems:#?}"
    );
    assert!(problems[0].contains("ROOKERY_SERVER_NAME"), "{problems:#?}");
    assert!(problems[0].contains("--server-name"), "{problems:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_told_by_line() {
    let problems = load("[server]\nname = \n", &[], named()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("config: this is not TOML: "),
        "{problems:#?}"
    );
    assert!(
        problems[0].ends_with("(rookery.toml, line 2)"),
        "{problems:#?}"
    );
}

#[test]
fn an_origin_reads_well() {
    assert_eq!(Origin::Flag("--listen").to_string(), "from --listen");
}

#[test]
fn without_a_url_the_database_is_a_file_beside_the_rest() {
    let config = load("[server]\ndata_dir = \"/srv/rookery\"", &[], named()).unwrap();
    assert_eq!(
        config.database_url().to_string(),
        "sqlite:/srv/rookery/rookery.db"
    );
}
