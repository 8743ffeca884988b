//! E-mails, handed to the operator's mail server by SMTP.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use engine::chance::Chance;
use engine::{Clock, Mail, MailFailure, Mailer};
use futures_util::future::BoxFuture;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::response::Category;
use lettre::transport::smtp::{self, extension::ClientId};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use rustls_pki_types::CertificateDer;

use crate::config::{Email, MailSecurity, MailServer};

/// How long the mail server may take for each step.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many letters make the name of an e-mail.
const NAME_LETTERS: usize = 24;

/// The way to the mail server.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
}

impl Smtp {
    /// Connects to nothing yet. `authorities` are trusted besides those of the system.
    ///
    /// # Errors
    /// The server's name cannot be that of a certificate, or the certificates of authorities cannot be read.
    pub(crate) fn new(
        server: &MailServer,
        from: Mailbox,
        email: &Email,
        authorities: &[CertificateDer<'_>],
        clock: Arc<dyn Clock>,
        chance: Arc<Chance>,
    ) -> Result<Self, smtp::Error> {
        let parameters = || {
            let mut parameters = TlsParameters::builder(server.host.clone());
            for authority in authorities {
                let certificate = Certificate::from_der(authority.to_vec())?;
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build()
        };
        let tls = match email.security {
            MailSecurity::Tls => Tls::Wrapper(parameters()?),
            MailSecurity::StartTls => Tls::Required(parameters()?),
            MailSecurity::None => Tls::None,
        };
        let name = ClientId::Domain(from.email.domain().to_owned());
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port.unwrap_or(email.security.port()))
            .tls(tls)
            .hello_name(name)
            .timeout(Some(TIMEOUT));
        if let (Some(username), Some(password)) = (&email.username, &email.password) {
            let credentials = Credentials::new(username.0.clone(), password.0.clone());
            transport = transport.credentials(credentials);
        }
        Ok(Self {
            transport: transport.build(),
            from,
            clock,
            chance,
        })
    }

    fn message(&self, mail: Mail) -> Result<Message, MailFailure> {
        let never = |error: &dyn std::error::Error| MailFailure::Never(error.to_string());
        let to: Address = mail.to.parse().map_err(|error| never(&error))?;
        let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        let (name, domain) = (
            self.chance.lower_case(NAME_LETTERS),
            self.from.email.domain(),
        );
        let header = |name: &'static str, value: String| {
            let name = HeaderName::new_from_ascii_str(name);
            HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
        };
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .date(UNIX_EPOCH + Duration::from_millis(now_ms))
            .message_id(Some(format!("<{name}@{domain}>")))
            .raw_header(header(
                "List-Unsubscribe",
                format!("<{}>", mail.unsubscribe),
            ))
            .raw_header(header(
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            ))
            // Nobody's absence is to be answered: RFC 3834.
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
            .map_err(|error| never(&error))
    }
}

impl Mailer for Smtp {
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailFailure>> {
        Box::pin(async move {
            let message = self.message(mail)?;
            match self.transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(failure(&error)),
            }
        })
    }
}

/// What the mail server says of the mailbox or the message is final (x5x: RFC 5321, section 4.2.1), if it says so. All else may
/// be mended by the operator.
fn failure(error: &smtp::Error) -> MailFailure {
    let of_mail = error
        .status()
        .is_some_and(|code| code.category == Category::MailSystem);
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let sentence = format!("{error}{}", cause.unwrap_or_default());
    match error.is_permanent() && of_mail {
        true => MailFailure::Never(sentence),
        false => MailFailure::Later(sentence),
    }
}
