//! A server in a network that only a proxy leads out of.

use std::{fs, process::Command};

use tests::{federation::Neighbourhood, proxy::Proxy, server::binary};

/// What `homeserver federation check` says with a proxy, and whether all is well.
async fn check(proxy: &str, name: &str, flags: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary());
    command.args(["federation", "check", name]).args(flags);
    command.env("ROOKERY_FEDERATION_PROXY", proxy);
    let running = tokio::task::spawn_blocking(move || command.output());
    let done = running.await.expect("it ends").expect("the command runs");
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (done.status.success(), text)
}

#[tokio::test]
async fn all_that_goes_out_goes_through_the_proxy() {
    let machine = Neighbourhood::new();
    let proxy = Proxy::start("rookery", "p@ss").await;
    let file = machine.file("proxied.toml");
    let section = format!(
        "[federation]\nproxy = \"http://rookery:p%40ss@{}\"\n",
        proxy.address
    );
    fs::write(&file, section).expect("a file");
    let (Some(here), Some(there)) = (
        machine.server_with(&["--config", &file]).await,
        machine.server().await,
    ) else {
        return;
    };
    let [alice, bob] = [here.user("alice").await, there.user("bob").await];
    let room = bob.creates_room().public().await;
    alice.joins_via(&room, bob.server_name()).await.ok();
    let said = alice.says(&room, "from behind the proxy").await;
    bob.syncs_until(&room, &said).await;
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|to| to == bob.server_name()), "{asked:?}");
}

#[tokio::test]
async fn the_check_goes_through_the_proxy_and_says_what_is_wrong_with_it() {
    let machine = Neighbourhood::new();
    let Some(there) = machine.server().await else {
        return;
    };
    let name = there.user("bob").await.server_name().to_owned();
    let proxy = Proxy::start("rookery", "p@ss").await;
    let login = |password: &str| format!("http://rookery:{password}@{}", proxy.address);
    let (good, bad) = (login("p%40ss"), login("wrong"));
    let ca = machine.file("cert.pem");
    let allowed = ["--trusted-ca", &ca, "--allow-address", "127.0.0.0/8"];

    let (well, text) = check(&bad, &name, &allowed).await;
    let refused = text.contains("federation.proxy") && text.contains("authorization required");
    assert!(!well && refused && !text.contains("wrong"), "{text}");
    // What is known to be private is not even asked for.
    for private in [&*name, "localhost:8448"] {
        let (well, text) = check(&good, private, &allowed[..2]).await;
        assert!(
            !well && text.contains("federation.allow_addresses"),
            "{text}"
        );
    }
    assert!(proxy.asked().is_empty());

    let (well, text) = check(&good, &name, &allowed).await;
    assert!(well && text.contains("behind the proxy"), "{text}");
    // Of this name only the proxy knows where it is.
    let port = name.rsplit_once(':').expect("a port").1;
    let elsewhere = format!("elsewhere.invalid:{port}");
    let (well, text) = check(&good, &elsewhere, &allowed).await;
    assert!(
        !well && text.contains("does not prove to be elsewhere.invalid"),
        "{text}"
    );
    assert_eq!(proxy.asked().last(), Some(&elsewhere));

    let (well, text) = check("socks5://127.0.0.1:1", &name, &allowed).await;
    assert!(!well && text.contains("federation.proxy"), "{text}");
}
