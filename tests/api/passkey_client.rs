//! A browser with passkeys, for tests: it reaches a panel under a host name.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::authenticator::SoftPasskey;

/// A client of a panel, which reaches it under a host name.
#[derive(Clone, Copy)]
pub struct At<'a>(pub &'a TestPanel, pub &'a str);

/// Options of a ceremony, and the state that goes back with the answer.
pub struct Begun {
    pub options: Value,
    pub state: Value,
}

impl At<'_> {
    pub async fn send(self, token: Option<&str>, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.0.request(method, path).header("host", self.1).json(body);
        send(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
    }

    pub async fn post(self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(Some(token), Method::POST, &format!("/api/second-factor/{path}"), body).await
    }

    pub async fn password(self, name: &str, otp: Option<&str>) -> Answer {
        let password = format!("{name}pass");
        let mut form = vec![("username", name), ("password", password.as_str())];
        form.extend(otp.map(|otp| ("otp", otp)));
        send(self.0.request(Method::POST, "/api/admins/token").form(&form)).await
    }

    /// Signs an admin without a second factor in.
    pub async fn session(self, name: &str) -> String {
        text(&self.password(name, None).await.ok()["access_token"])
    }

    /// Begins to add a passkey of an admin.
    pub async fn begin(self, token: &str, name: &str) -> Begun {
        let own = json!({"current_password": format!("{name}pass")});
        Begun::of(&self.post(token, "passkey-options", &own).await.ok())
    }

    pub async fn add(self, token: &str, begun: &Begun, passkey: &SoftPasskey) -> Answer {
        let credential = passkey.registration(&begun.options);
        let body = json!({"name": "phone", "state": begun.state, "credential": credential});
        self.post(token, "passkeys", &body).await
    }

    /// Adds a passkey of an admin without a second factor. Returns it, and the token of the session.
    pub async fn set_up(self, name: &str) -> (SoftPasskey, String) {
        let token = self.session(name).await;
        let begun = self.begin(&token, name).await;
        let passkey = SoftPasskey::new(&format!("https://{}", self.1), &begun.options);
        let done = self.add(&token, &begun, &passkey).await.ok();
        (passkey, text(&done["token"]["access_token"]))
    }

    pub async fn begin_sign_in(self) -> Begun {
        Begun::of(&self.send(None, Method::POST, "/api/passkey-sign-in/options", &json!({})).await.ok())
    }

    pub async fn finish_sign_in(self, begun: &Begun, credential: &Value) -> Answer {
        let body = json!({"state": begun.state, "credential": credential});
        self.send(None, Method::POST, "/api/passkey-sign-in", &body).await
    }

    pub async fn sign_in(self, passkey: &SoftPasskey) -> Answer {
        let begun = self.begin_sign_in().await;
        self.finish_sign_in(&begun, &passkey.assertion(&begun.options)).await
    }

    pub async fn status(self, token: &str) -> u16 {
        self.send(Some(token), Method::GET, "/api/admins/current", &json!({})).await.status.as_u16()
    }
}

impl Begun {
    pub fn of(answer: &Value) -> Self {
        Self { options: answer["options"].clone(), state: answer["state"].clone() }
    }
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[track_caller]
pub fn refused_with(answer: &Answer, status: u16, code: &str) {
    answer.refused(status);
    assert_eq!(answer.body["code"], code, "{}", answer.body);
}
