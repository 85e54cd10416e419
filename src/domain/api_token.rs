//! API tokens: for programs that act for an admin, with some of the admin's rights.

use std::net::{IpAddr, Ipv4Addr};

use aws_lc_rs::digest::{SHA256, digest};
use ipnet::IpNet;
use serde::Serialize;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::moment::Moment;
use super::networks;
use super::scope::Scopes;
use crate::foundation::is_steering;

/// Tokens of an admin, at most.
pub const MOST: i64 = 100;
/// Characters of a name, at most.
pub const MAX_NAME: usize = 64;
/// Address ranges of a token, at most.
pub const MAX_ADDRESSES: usize = 32;
/// Longest time, in seconds, for which a replaced secret stays good.
pub const MAX_OVERLAP_SECONDS: i64 = 30 * 24 * 3_600;

const PREFIX: &str = "sarban_";

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Stands in the token, so that one that was found somewhere can be looked up.
    pub id: Uuid,
    /// A name for people.
    pub name: String,
    /// The operations that it may be used for.
    pub scopes: Scopes,
    /// The networks from which it may be used; empty: from anywhere.
    pub addresses: Vec<IpNet>,
    /// When it was made.
    pub created_at: Moment,
    /// When it ends; none: never.
    pub expires_at: Option<Moment>,
    /// The last request with it, up to a minute behind.
    pub last_used_at: Option<Moment>,
    /// The client's address at the last use.
    pub last_address: Option<String>,
    /// The secret.
    pub secret: StoredSecret,
}

/// The secret of a token, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// SHA-256 of the secret, in hex.
    pub hash: String,
    /// That of the secret before, and until when it is good.
    pub previous: Option<(String, Moment)>,
}

/// A token that a client presents.
#[derive(Debug, PartialEq, Eq)]
pub struct PresentedToken {
    /// The id in it.
    pub id: Uuid,
    hash: String,
}

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ApiTokenBody)]
pub struct ApiTokenDocument {
    /// Stands in the token after `sarban_`, without the dashes.
    #[schema(value_type = String)]
    id: Uuid,
    /// Username of the admin for whom it acts.
    admin: String,
    name: String,
    /// `users:read` and the like; `*` for all, `*:read` for reading all.
    scopes: Vec<String>,
    /// Networks from which it may be used; empty: from anywhere.
    addresses: Vec<String>,
    /// UTC, ISO 8601.
    created_at: String,
    /// When it ends; null: never.
    expires_at: Option<String>,
    /// The last request with it, up to a minute behind; null: never used.
    last_used_at: Option<String>,
    /// The client's address at that request.
    last_address: Option<String>,
    /// Until when the secret before the last rotation is good; null: it is not.
    previous_until: Option<String>,
}

/// The reason why a token can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The secret is wrong, or was replaced.
    Secret,
    /// Its time is over.
    Expired,
    /// It is not for this client's address.
    Address,
}

impl PresentedToken {
    /// Reads a token; none if the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|it| it.is_ascii_hexdigit());
        (is_hex(id, 32) && is_hex(secret, 64)).then_some(())?;
        Some(Self { id: Uuid::try_parse(id).ok()?, hash: hash(secret) })
    }
}

/// Returns true for a text that claims to be an API token.
pub fn is_api_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// A new secret, 244 random bits, and the text of the token with it, which is shown once.
pub fn new_secret(id: Uuid) -> (StoredSecret, String) {
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let text = format!("{PREFIX}{}_{secret}", id.simple());
    (StoredSecret { hash: hash(&secret), previous: None }, text)
}

/// Reads stored networks. One that this version can't read stands for an address that no client has: a token with it alone
/// must not be good from everywhere.
pub fn stored_addresses(text: &str) -> Vec<IpNet> {
    let nowhere = IpNet::from(IpAddr::V4(Ipv4Addr::BROADCAST));
    text.split_whitespace().map(|text| networks::network(text).unwrap_or(nowhere)).collect()
}

/// Returns why a token can't have this name.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("must not be empty")
    } else if name.chars().count() > MAX_NAME {
        Some("must have at most 64 characters")
    } else if name.contains(is_steering) {
        Some("must not contain line breaks, control characters or marks of text direction")
    } else {
        None
    }
}

impl ApiToken {
    /// Returns what is shown of a token of this admin.
    pub fn document(&self, admin: &str) -> ApiTokenDocument {
        let utc = |at: Moment| at.utc_iso();
        ApiTokenDocument {
            id: self.id,
            admin: admin.to_owned(),
            name: self.name.clone(),
            scopes: self.scopes.texts(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            created_at: utc(self.created_at),
            expires_at: self.expires_at.map(utc),
            last_used_at: self.last_used_at.map(utc),
            last_address: self.last_address.clone(),
            previous_until: self.secret.previous.as_ref().map(|(_, until)| utc(*until)),
        }
    }

    /// Returns why the presented token can't be used from this address.
    pub fn fault(&self, presented: &PresentedToken, address: Option<IpAddr>, now: Moment) -> Option<TokenFault> {
        let is = |hash: &str| bool::from(hash.as_bytes().ct_eq(presented.hash.as_bytes()));
        let previous = self.secret.previous.as_ref().filter(|(_, until)| *until > now);
        if !is(&self.secret.hash) && !previous.is_some_and(|(hash, _)| is(hash)) {
            return Some(TokenFault::Secret);
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Some(TokenFault::Expired);
        }
        let is_inside = |address: IpAddr| networks::contain(&self.addresses, address);
        if !self.addresses.is_empty() && !address.is_some_and(is_inside) {
            return Some(TokenFault::Address);
        }
        None
    }
}

fn hash(secret: &str) -> String {
    hex::encode(digest(&SHA256, secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: i64) -> Moment {
        Moment::from_micros(micros)
    }

    fn token(addresses: &[&str]) -> (ApiToken, PresentedToken) {
        let id = Uuid::new_v4();
        let (secret, text) = new_secret(id);
        let token = ApiToken {
            id,
            name: "bot".to_owned(),
            scopes: Scopes::default(),
            addresses: addresses.iter().map(|text| networks::network(text).expect("a network")).collect(),
            created_at: at(0),
            expires_at: Some(at(100)),
            last_used_at: None,
            last_address: None,
            secret,
        };
        (token, PresentedToken::read(&text).expect("a token"))
    }

    #[test]
    fn hash_is_sha_256() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn only_whole_tokens_are_read() {
        let (secret, text) = new_secret(Uuid::from_u128(7));
        assert_eq!(text.len(), 104);
        assert_eq!(PresentedToken::read(&text), Some(PresentedToken { id: Uuid::from_u128(7), hash: secret.hash }));
        let (shorter, other) = (&text[..103], text.replace("sarban", "Sarban"));
        for wrong in ["", "sarban_", "sarban__", shorter, &other, &format!("{text}0"), &text.replace("_", "-")] {
            assert_eq!(PresentedToken::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn token_is_good_in_its_time_at_its_addresses_with_its_secret() {
        let (token, presented) = token(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]);
        let fault = |address: &str, now| token.fault(&presented, Some(address.parse().expect("an address")), at(now));
        for inside in ["192.0.2.9", "2001:db8::9", "198.51.100.7", "::ffff:192.0.2.9"] {
            assert_eq!(fault(inside, 99), None, "{inside}");
        }
        for outside in ["192.0.3.9", "2001:db9::9", "198.51.100.8"] {
            assert_eq!(fault(outside, 99), Some(TokenFault::Address), "{outside}");
        }
        assert_eq!(token.fault(&presented, None, at(99)), Some(TokenFault::Address), "a Unix socket");
        assert_eq!(fault("192.0.2.9", 100), Some(TokenFault::Expired));
        let other = PresentedToken { hash: hash("other"), ..presented };
        assert_eq!(token.fault(&other, None, at(99)), Some(TokenFault::Secret));
    }

    #[test]
    fn stored_networks_that_cannot_be_read_are_those_of_nobody() {
        let (mut token, presented) = token(&[]);
        let address = Some("192.0.2.9".parse().expect("an address"));
        for (stored, fault) in
            [("", None), ("192.0.2.0/24 later:form", None), ("later:form", Some(TokenFault::Address))]
        {
            token.addresses = stored_addresses(stored);
            assert_eq!(token.fault(&presented, address, at(0)), fault, "{stored}");
        }
    }

    #[test]
    fn replaced_secret_is_good_for_the_overlap() {
        let (mut token, old) = token(&[]);
        let (secret, text) = new_secret(token.id);
        token.secret = StoredSecret { previous: Some((token.secret.hash, at(50))), ..secret };
        let new = PresentedToken::read(&text).expect("a token");
        for (presented, now, fault) in
            [(&old, 49, None), (&old, 50, Some(TokenFault::Secret)), (&new, 49, None), (&new, 50, None)]
        {
            assert_eq!(token.fault(presented, None, at(now)), fault, "{now}");
        }
    }
}
