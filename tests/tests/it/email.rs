//! E-mails about what was missed.

use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    MailServer, TestServer, User,
    eventually::eventually,
    federation::Neighbourhood,
    mail::{Letter, Privacy},
    server::binary,
};

const SET: &str = "/_matrix/client/v3/pushers/set";

fn pusher(address: &str) -> Value {
    json!({
        "app_id": "m.email", "pushkey": address, "kind": "email", "app_display_name": "E-mail",
        "device_display_name": address, "lang": "en", "data": {},
    })
}

/// A server that sends e-mails as soon as it can, by a mail server on a script.
async fn with_mail() -> Option<(TestServer, MailServer)> {
    let (mail, address) = MailServer::start().await;
    let further = r#"security = "none""#;
    Some((sending_by(&address, further).await?, mail))
}

/// A server that sends e-mails as soon as it can by the mail server at `address`, with these further settings.
async fn sending_by(address: &str, further: &str) -> Option<TestServer> {
    let text = format!(
        r#"
        [email]
        server = "{address}"
        {further}
        from = "Rookery <noreply@rookery.test>"
        delay = "1 ms"
        public_url = "https://rookery.test"
        "#
    );
    TestServer::start_configured(&text).await
}

/// The administrator of the server that runs notes an address.
fn notes(server: &TestServer, arguments: &[&str]) -> (bool, String) {
    let (database, directory) = server.data();
    let mut command = Command::new(binary());
    command
        .args(["user", "email"])
        .args(arguments)
        .args(["--server-name", server.name()])
        .arg("--data-dir")
        .arg(directory)
        .stdin(Stdio::null());
    if let Some(url) = database.url() {
        command.args(["--database", &url]);
    }
    let output = command.output().expect("the homeserver starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

async fn gets(mail: &MailServer, text: &str) -> Letter {
    eventually("an e-mail", async || {
        let mut letters = mail.letters().into_iter();
        letters.find(|letter| letter.plain().contains(text))
    })
    .await
}

async fn pushers(user: &User) -> usize {
    let listed = user.get("/_matrix/client/v3/pushers").await.ok();
    listed["pushers"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn who_misses_a_message_gets_an_email_and_can_stop_that() {
    let Some((server, mail)) = with_mail().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    let refused = bob.post(SET, &pusher("bob@example.org")).await;
    refused.refused(400, "M_THREEPID_NOT_FOUND");
    let (done, said) = notes(&server, &[&bob.id, "Bob@Example.org"]);
    assert!(done && said.contains("bob@example.org"), "{said}");
    let (done, said) = notes(&server, &[&alice.id, "bob@example.org"]);
    assert!(!done && said.contains("taken"), "{said}");
    assert!(!notes(&server, &[&bob.id, "no address"]).0);
    bob.post(SET, &pusher("bob@example.org")).await.ok();
    let listed = bob.get("/_matrix/client/v3/account/3pid").await.ok();
    assert_eq!(listed["threepids"][0]["address"], "bob@example.org");

    alice.says(&room, "tea is <ready>").await;
    let letter = gets(&mail, "tea is <ready>").await;
    assert_eq!(letter.to, "bob@example.org");
    assert!(
        letter.plain().contains("tea is &lt;ready&gt;"),
        "{}",
        letter.plain()
    );
    let subject = letter.header("Subject").expect("a subject");
    assert!(subject.starts_with("A message from"), "{subject}");
    let one_click = letter.header("List-Unsubscribe-Post");
    assert_eq!(one_click.as_deref(), Some("List-Unsubscribe=One-Click"));

    let link = letter.header("List-Unsubscribe").expect("a link");
    let link = link.trim_matches(['<', '>']).to_owned();
    assert!(letter.plain().contains(&link), "the text has it too");
    let path = link
        .strip_prefix("https://rookery.test")
        .expect("here")
        .to_owned();
    let page = async |method: Method, path: &str| {
        let url = format!("{}{path}", server.connection().base());
        let request = server.connection().http().request(method, url);
        let answer = request.body("List-Unsubscribe=One-Click").send().await;
        let answer = answer.expect("an answer");
        (
            answer.status().as_u16(),
            answer.text().await.expect("a text"),
        )
    };
    let (status, shown) = page(Method::GET, &path).await;
    assert!(
        status == 200 && shown.contains("bob@example.org"),
        "{status} {shown}"
    );
    assert_eq!(pushers(&bob).await, 1, "to look changes nothing");
    let (status, _) = page(Method::POST, &format!("{path}x")).await;
    assert_eq!(
        (status, pushers(&bob).await),
        (404, 1),
        "a link that nobody made"
    );
    let (status, shown) = page(Method::POST, &path).await;
    assert!(status == 200 && shown.contains("Done"), "{status} {shown}");
    assert_eq!(pushers(&bob).await, 0);
    let (status, _) = page(Method::POST, &path).await;
    assert_eq!(status, 200, "once more");
}

#[tokio::test]
async fn an_email_waits_for_a_mail_server_that_is_down_and_ends_with_its_address() {
    let Some((server, mail)) = with_mail().await else {
        return;
    };
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    assert!(notes(&server, &[&bob.id, "bob@example.org"]).0);
    bob.post(SET, &pusher("bob@example.org")).await.ok();
    mail.refuses(Some("451 later"));
    alice.says(&room, "first").await;
    eventually("a failure", async || {
        server.log().contains("a notification waits").then_some(())
    })
    .await;
    assert!(mail.letters().is_empty());
    mail.refuses(None);
    gets(&mail, "first").await;

    assert!(notes(&server, &[&bob.id, "bob@example.org", "--remove"]).0);
    alice.says(&room, "second").await;
    eventually("no pusher", async || {
        (pushers(&bob).await == 0).then_some(())
    })
    .await;
}

/// Bob, who wants e-mails, has missed a message.
async fn misses_a_message(server: &TestServer) {
    let [alice, bob] = server.users(["alice", "bob"]).await;
    let room = alice.creates_room().with([&bob]).await;
    assert!(notes(server, &[&bob.id, "bob@example.org"]).0);
    bob.post(SET, &pusher("bob@example.org")).await.ok();
    alice.says(&room, "secret").await;
}

#[tokio::test]
async fn mail_goes_encrypted_from_the_beginning_or_when_the_server_offers_it() {
    let machine = Neighbourhood::new();
    for (privacy, security) in [
        (Privacy::Tls(machine.acceptor()), "tls"),
        (Privacy::StartTls(machine.acceptor()), "starttls"),
    ] {
        let (mail, address) = MailServer::start_with(privacy).await;
        let further = format!(
            "security = \"{security}\"\ntrusted_ca = [\"{}\"]",
            machine.file("cert.pem")
        );
        let Some(server) = sending_by(&address, &further).await else {
            return;
        };
        misses_a_message(&server).await;
        let letter = gets(&mail, "secret").await;
        assert!(letter.encrypted, "{security}");
    }
}

#[tokio::test]
async fn no_mail_goes_where_anybody_could_read_it() {
    let machine = Neighbourhood::new();
    for (privacy, security) in [
        // Nobody knows who has signed the certificate.
        (Privacy::Tls(machine.acceptor()), "tls"),
        (Privacy::StartTls(machine.acceptor()), "starttls"),
        // Whoever stands between leaves out the offer.
        (Privacy::None, "starttls"),
    ] {
        let (mail, address) = MailServer::start_with(privacy).await;
        let further = format!("security = \"{security}\"");
        let Some(server) = sending_by(&address, &further).await else {
            return;
        };
        misses_a_message(&server).await;
        eventually("a failure", async || {
            server.log().contains("a notification waits").then_some(())
        })
        .await;
        assert!(mail.letters().is_empty(), "{security}");
    }
}

#[tokio::test]
async fn a_server_without_a_mail_server_says_so() {
    let Some(server) = TestServer::start_own().await else {
        return;
    };
    let bob = server.user("bob").await;
    let answer = bob.post(SET, &pusher("bob@example.org")).await;
    answer.refused(400, "M_INVALID_PARAM");
}
