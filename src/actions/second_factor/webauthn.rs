//! What browsers and authenticators are asked for passkeys, and the check of their answers (WebAuthn).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;
use uuid::Uuid;
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::error::RequestOptionsErr;
use webauthn_rp::request::auth::{AuthenticationVerificationOptions, AuthenticatorAttachmentEnforcement};
use webauthn_rp::request::register::error::CreationOptionsErr;
use webauthn_rp::request::register::{
    CredProtect, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle16, Username,
};
use webauthn_rp::request::{AsciiDomain, PublicKeyCredentialDescriptor, RpId};
use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::auth::ser_relaxed::AuthenticationRelaxed;
use webauthn_rp::response::register::error::RegCeremonyErr;
use webauthn_rp::response::register::ser_relaxed::RegistrationRelaxed;
use webauthn_rp::response::register::{DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, CredentialId, Origin};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthenticationServerState, DiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, RegistrationServerState,
};

use crate::domain::second_factor::passkey::{is_domain, is_origin_of};
use crate::store::access::passkeys::Credential;

/// The domain that passkeys are bound to, and whose pages may use them.
#[derive(Clone, Debug)]
pub struct RelyingParty {
    domain: String,
    id: RpId,
    pages: [Pages; 1],
}

/// The pages that may use passkeys.
#[derive(Clone, Debug)]
struct Pages {
    domain: String,
    below: bool,
}

impl PartialEq<Origin<'_>> for Pages {
    fn eq(&self, origin: &Origin<'_>) -> bool {
        is_origin_of(&origin.0, &self.domain, self.below)
    }
}

/// A ceremony that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The argument of the browser to `navigator.credentials`, as JSON.
    pub options: Value,
    /// The state that the check of its answer needs.
    pub state: Vec<u8>,
}

/// A credential that an authenticator has made.
#[derive(Debug)]
pub struct MadeCredential {
    /// In base64url.
    pub credential_id: String,
    /// The same for all passkeys of the admin.
    pub user_handle: Uuid,
    /// The public key, encoded.
    pub static_state: Vec<u8>,
    /// The state that uses change, encoded.
    pub dynamic_state: Vec<u8>,
}

/// Errors of a ceremony.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The answer is for another domain, or from a page of another one.
    #[error("the passkey is for another address")]
    Origin,
    /// It took too long.
    #[error("the challenge has expired")]
    Expired,
    /// The answer can't be read.
    #[error("the answer of the authenticator can't be read: {0}")]
    Malformed(String),
    /// The answer is for another challenge, its signature is wrong, or the authenticator did not verify its user.
    #[error("the answer of the authenticator is wrong: {0}")]
    Wrong(String),
    /// A stored state can't be read, or the library failed.
    #[error("a passkey could not be handled: {0}")]
    Internal(String),
}

impl RelyingParty {
    /// The relying party of a host name, and of names below it if `below`; none for an address, which no passkey can be bound to.
    pub fn new(host: &str, below: bool) -> Option<Self> {
        let domain = Some(host.to_ascii_lowercase()).filter(|domain| is_domain(domain))?;
        let id = RpId::Domain(AsciiDomain::try_from(domain.clone()).ok()?);
        Some(Self { pages: [Pages { domain: domain.clone(), below }], domain, id })
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Asks for a new passkey of an admin. `present` are the credentials that it has: an authenticator makes one only.
    pub fn begin_registration(
        &self,
        username: &str,
        user_handle: Uuid,
        present: &[String],
    ) -> Result<Begun, CeremonyError> {
        let handle = UserHandle16::decode(*user_handle.as_bytes()).map_err(|error| internal(&error))?;
        // A name that is no WebAuthn name, such as an imported one, is not shown by authenticators.
        let name = Username::try_from(username).or_else(|_| Username::try_from("admin"));
        let user = PublicKeyCredentialUserEntity {
            name: name.map_err(|error| internal(&error))?,
            id: &handle,
            display_name: None,
        };
        let present = present.iter().filter_map(|id| {
            let id = CredentialId::<Vec<u8>>::decode(BASE64URL.decode(id).ok()?).ok()?;
            Some(PublicKeyCredentialDescriptor { id, transports: AuthTransports::decode(0).ok()? })
        });
        let mut options = PublicKeyCredentialCreationOptions::passkey(&self.id, user, present.collect());
        // Authenticators without this extension would be refused. Each answer is checked for the verification of the user.
        options.extensions.cred_protect = CredProtect::None;
        let (server, client) = options.start_ceremony().map_err(|error: CreationOptionsErr| internal(&error))?;
        let state = server.encode().map_err(|error| internal(&error))?;
        Ok(Begun { options: serde_json::to_value(&client).map_err(|error| internal(&error))?, state })
    }

    /// Checks the answer to [`begin_registration`](Self::begin_registration).
    pub fn finish_registration(&self, state: &[u8], answer: &Value) -> Result<MadeCredential, CeremonyError> {
        let state = RegistrationServerState::<16>::decode(state).map_err(|error| internal(&error))?;
        let answer: RegistrationRelaxed =
            serde_json::from_str(&answer.to_string()).map_err(|error| malformed(&error))?;
        let options = RegistrationVerificationOptions::<Pages, Pages> {
            allowed_origins: &self.pages,
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = state.verify(&self.id, &answer.0, &options).map_err(|error| match error {
            RegCeremonyErr::Timeout => CeremonyError::Expired,
            RegCeremonyErr::OriginMismatch | RegCeremonyErr::RpIdHashMismatch => CeremonyError::Origin,
            error => CeremonyError::Wrong(error.to_string()),
        })?;
        let handle = made.user_id().encode().map_err(|error| internal(&error))?;
        Ok(MadeCredential {
            credential_id: BASE64URL.encode(made.id().into_inner()),
            user_handle: Uuid::from_bytes(handle),
            static_state: made.static_state().encode().map_err(|error| internal(&error))?,
            dynamic_state: made.dynamic_state().encode().map_err(|error| internal(&error))?.to_vec(),
        })
    }

    /// Asks for any passkey of this domain.
    pub fn begin_sign_in(&self) -> Result<Begun, CeremonyError> {
        let options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        let (server, client) = options.start_ceremony().map_err(|error: RequestOptionsErr| internal(&error))?;
        let state = server.encode().map_err(|error| internal(&error))?;
        Ok(Begun { options: serde_json::to_value(&client).map_err(|error| internal(&error))?, state })
    }

    /// Checks the answer to [`begin_sign_in`](Self::begin_sign_in) against a stored credential, whose next state it returns.
    pub fn finish_sign_in(
        &self,
        state: &[u8],
        answer: &Value,
        credential: &Credential,
    ) -> Result<Vec<u8>, CeremonyError> {
        if credential.rp_id != self.domain {
            return Err(CeremonyError::Origin);
        }
        let state = DiscoverableAuthenticationServerState::decode(state).map_err(|error| internal(&error))?;
        let answer: AuthenticationRelaxed<16, true> =
            serde_json::from_str(&answer.to_string()).map_err(|error| malformed(&error))?;
        let handle = UserHandle16::decode(*credential.user_handle.as_bytes()).map_err(|error| internal(&error))?;
        let dynamic: [u8; 7] = credential.dynamic_state.as_slice().try_into().map_err(|error| internal(&error))?;
        let mut stored = AuthenticatedCredential::new(
            answer.0.raw_id(),
            &handle,
            StaticState::decode(credential.static_state.as_slice()).map_err(|error| internal(&error))?,
            DynamicState::decode(dynamic).map_err(|error| internal(&error))?,
        )
        .map_err(|error| internal(&error))?;
        let options = AuthenticationVerificationOptions::<Pages, Pages> {
            allowed_origins: &self.pages,
            error_on_unsolicited_extensions: false,
            // A passkey of a phone is used at the phone and beside it.
            auth_attachment_enforcement: AuthenticatorAttachmentEnforcement::Ignore(false),
            ..AuthenticationVerificationOptions::default()
        };
        state.verify(&self.id, &answer.0, &mut stored, &options).map_err(|error| match error {
            AuthCeremonyErr::Timeout => CeremonyError::Expired,
            AuthCeremonyErr::OriginMismatch | AuthCeremonyErr::RpIdHashMismatch => CeremonyError::Origin,
            error => CeremonyError::Wrong(error.to_string()),
        })?;
        Ok(stored.dynamic_state().encode().map_err(|error| internal(&error))?.to_vec())
    }
}

/// Returns the id of the credential that an answer is of.
pub fn credential_id(answer: &Value) -> Result<String, CeremonyError> {
    let answer: AuthenticationRelaxed<16, true> =
        serde_json::from_str(&answer.to_string()).map_err(|error| malformed(&error))?;
    Ok(BASE64URL.encode(answer.0.raw_id().into_inner()))
}

fn internal(error: &impl ToString) -> CeremonyError {
    CeremonyError::Internal(error.to_string())
}

fn malformed(error: &serde_json::Error) -> CeremonyError {
    CeremonyError::Malformed(error.to_string())
}
