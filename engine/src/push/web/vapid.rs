//! How push services know who speaks: RFC 8292, "Voluntary Application Server Identification".

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer as _},
};
use serde_json::{Value, json};
use url::Url;

/// How long a proof is good, in seconds: at most a day, by the RFC.
const GOOD_FOR_S: i64 = 12 * 3_600;

/// The public key, as browsers want it when they subscribe.
pub(crate) fn public(key: &SecretKey) -> String {
    URL_SAFE_NO_PAD.encode(key.public_key().to_sec1_bytes())
}

/// The `Authorization` of a request to a push service. `contact` is where its operator can ask, a URL.
pub(crate) fn authorization(key: &SecretKey, endpoint: &Url, contact: &str, now_ms: i64) -> String {
    let encoded = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({
        "aud": endpoint.origin().ascii_serialization(),
        "exp": now_ms / 1_000 + GOOD_FOR_S,
        "sub": contact,
    });
    let signed = format!(
        "{}.{}",
        encoded(&json!({ "typ": "JWT", "alg": "ES256" })),
        encoded(&claims)
    );
    let signature: Signature = SigningKey::from(key).sign(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
    format!("vapid t={signed}.{signature}, k={}", public(key))
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::{VerifyingKey, signature::Verifier as _};

    use super::*;

    /// RFC 8292, sections 2 and 3.
    #[test]
    fn a_proof_names_the_push_service_and_is_signed() {
        let key = SecretKey::from_slice(&[7; 32]).expect("a key");
        let endpoint = Url::parse("https://push.example:8443/subscription/1?a=b").expect("a URL");
        let header = authorization(&key, &endpoint, "https://here", 1_700_000_000_000);
        let (proof, public_key) = header
            .strip_prefix("vapid t=")
            .and_then(|rest| rest.split_once(", k="))
            .expect("both are there");
        assert_eq!(public_key, public(&key));
        let (signed, signature) = proof.rsplit_once('.').expect("three parts");
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
        let signature = Signature::from_slice(&decoded(signature)).expect("a signature");
        VerifyingKey::from_sec1_bytes(&decoded(public_key))
            .expect("a key")
            .verify(signed.as_bytes(), &signature)
            .expect("it is signed");
        let (_, claims) = signed.split_once('.').expect("two parts");
        let claims: Value = serde_json::from_slice(&decoded(claims)).expect("JSON");
        assert_eq!(
            claims,
            json!({"aud": "https://push.example:8443", "exp": 1_700_043_200, "sub": "https://here"})
        );
    }
}
