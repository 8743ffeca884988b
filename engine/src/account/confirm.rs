//! Taking a request through user-interactive authentication.

use std::sync::Arc;

use super::{
    Accounts, Secret, localpart, token,
    uia::{Attempt, Operation, Progress, Proof, Session, Stage, Turn},
};
use crate::{Error, Requester, Result};

/// What came of one proof.
enum Verdict {
    Proven,
    /// Not proven, with a sentence why. The client may try again.
    Refused(String),
}

impl Accounts {
    /// Lets a request through that needs the user's password: returns when `by` has confirmed that it is they.
    ///
    /// `endpoint` and `target` say what is confirmed; a session that confirmed it confirms it again when the same
    /// request is repeated, and nothing else.
    ///
    /// # Errors
    /// [`Error::Interactive`]: the client has to do more first. [`Error::Forbidden`]: the session belongs to another
    /// operation, or the password to another user.
    pub async fn confirm(
        &self,
        by: &Requester,
        endpoint: &'static str,
        target: &str,
        attempt: Option<Attempt>,
    ) -> Result<()> {
        let operation = Operation {
            endpoint,
            user: Some(by.user_id.clone()),
            target: token::hash(target),
        };
        let attempt = attempt.unwrap_or_default();
        let session = self.session(
            operation,
            vec![vec![Stage::Password]],
            attempt.session.as_deref(),
        )?;
        let mut progress = session.progress.lock().await;
        self.advance(&session, &mut progress, attempt.proof).await
    }

    /// The session `id`, or a new one.
    ///
    /// # Errors
    /// [`Error::Forbidden`]: it was begun for another operation.
    pub(super) fn session(
        &self,
        operation: Operation,
        flows: Vec<Vec<Stage>>,
        id: Option<&str>,
    ) -> Result<Arc<Session>> {
        let inner = &self.inner;
        match id.and_then(|id| inner.sessions.find(id, self.now_ms())) {
            Some(session) if session.operation == operation => Ok(session),
            Some(_) => Err(Error::Forbidden(
                "This authentication session was begun for another request; begin a new one"
                    .to_owned(),
            )),
            None => Ok(inner
                .sessions
                .begin(operation, flows, self.now_ms(), &inner.chance)),
        }
    }

    /// Takes `session` one stage on. Returns when all is proven.
    pub(super) async fn advance(
        &self,
        session: &Session,
        progress: &mut Progress,
        proof: Option<Proof>,
    ) -> Result<()> {
        let mut refusal = None;
        if let Some(proof) = proof {
            match self.attempt(session, progress, proof).await? {
                Verdict::Proven => {}
                Verdict::Refused(sentence) => refusal = Some(sentence),
            }
        }
        if session.is_confirmed(progress) {
            return Ok(());
        }
        Err(Error::Interactive(Box::new(
            session.challenge(progress, refusal),
        )))
    }

    async fn attempt(
        &self,
        session: &Session,
        progress: &mut Progress,
        proof: Proof,
    ) -> Result<Verdict> {
        let Some(stage) = proof.stage() else {
            return Ok(Verdict::Refused(
                "This server does not ask for that".to_owned(),
            ));
        };
        match session.turn(progress, stage) {
            Turn::Done => return Ok(Verdict::Proven),
            Turn::NotNext => {
                return Ok(Verdict::Refused(format!(
                    "It is not the turn of {}",
                    stage.name()
                )));
            }
            Turn::Now => {}
        }
        let verdict = match proof {
            Proof::Dummy => Verdict::Proven,
            Proof::Password { user, password } => {
                self.check_password(session, user, password).await?
            }
            Proof::RegistrationToken(token) => {
                self.check_registration_token(session, &token).await?
            }
            Proof::Unknown(_) => Verdict::Refused("This server does not ask for that".to_owned()),
        };
        if matches!(verdict, Verdict::Proven) {
            progress.complete(stage);
        }
        Ok(verdict)
    }

    async fn check_password(
        &self,
        session: &Session,
        user: Option<String>,
        password: Secret,
    ) -> Result<Verdict> {
        let Some(asking) = &session.operation.user else {
            return Err(Error::Internal(
                "a password stage where nobody is logged in".to_owned(),
            ));
        };
        let server = &self.inner.settings.server_name;
        let named = match user {
            Some(user) => localpart::for_login(&user, server),
            None => Some(asking.clone()),
        };
        if named.as_ref() != Some(asking) {
            let sentence = "Confirm this with your own user name and password".to_owned();
            return Err(Error::Forbidden(sentence));
        }
        let hash = self
            .account(asking)
            .await?
            .and_then(|account| account.password_hash);
        if self.inner.passwords.matches(password, hash).await? {
            Ok(Verdict::Proven)
        } else {
            Ok(Verdict::Refused("The password is wrong".to_owned()))
        }
    }

    async fn check_registration_token(&self, session: &Session, token: &str) -> Result<Verdict> {
        let refused = || Verdict::Refused("This registration token is not valid".to_owned());
        let Some(uses) = self.registration_token_uses(token).await? else {
            return Ok(refused());
        };
        if self
            .inner
            .sessions
            .hold(&session.id, token, uses.left(), self.now_ms())
        {
            Ok(Verdict::Proven)
        } else {
            Ok(refused())
        }
    }
}
