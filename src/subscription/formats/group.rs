//! Groups of templates. What a group lists of the template is known when the template is read; only the names of the
//! entries differ between documents.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

/// A member of a template's list of groups.
#[derive(Clone, Debug)]
pub enum Group {
    /// It stays as it is.
    Fixed(Value),
    /// It lists the entries, too.
    Open(OpenGroup),
}

/// A group that lists the entries.
#[derive(Clone, Debug)]
pub struct OpenGroup {
    /// Its members.
    pub members: Map<String, Value>,
    /// The name of the member with the list, which is one of `members`.
    pub list: &'static str,
    /// The names of the list before the entries.
    pub listed: Vec<String>,
    /// The only name of the list if there is no other. Without it, the list is left out.
    pub fallback: Option<String>,
}

/// A group with the names of the entries.
pub struct Filled<'a> {
    group: &'a Group,
    entries: &'a [&'a str],
}

impl Group {
    /// The group with these entries.
    pub const fn filled<'a>(&'a self, entries: &'a [&'a str]) -> Filled<'a> {
        Filled { group: self, entries }
    }
}

impl Filled<'_> {
    fn names<'a>(&'a self, group: &'a OpenGroup) -> Vec<&'a str> {
        let names: Vec<&str> = group.listed.iter().map(String::as_str).chain(self.entries.iter().copied()).collect();
        if names.is_empty() { group.fallback.as_deref().into_iter().collect() } else { names }
    }
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let group = match self.group {
            Group::Fixed(group) => return group.serialize(serializer),
            Group::Open(group) => group,
        };
        let names = self.names(group);
        let mut map = serializer.serialize_map(None)?;
        for (member, value) in &group.members {
            if member == group.list {
                if !names.is_empty() {
                    map.serialize_entry(member, &names)?;
                }
            // sing-box refuses a default that is not listed.
            } else if member != "default" || value.as_str().is_some_and(|default| names.contains(&default)) {
                map.serialize_entry(member, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_follow_the_names_of_the_template() {
        let open = |listed: &[&str], fallback: Option<&str>| {
            let members = json!({"default": "b", "list": null, "type": "x"});
            Group::Open(OpenGroup {
                members: members.as_object().unwrap().clone(),
                list: "list",
                listed: listed.iter().map(|name| (*name).to_owned()).collect(),
                fallback: fallback.map(str::to_owned),
            })
        };
        let group = open(&["a"], Some("c"));
        assert_eq!(json!(group.filled(&["b"])), json!({"default": "b", "list": ["a", "b"], "type": "x"}));
        assert_eq!(json!(group.filled(&[])), json!({"list": ["a"], "type": "x"}));
        assert_eq!(json!(open(&[], Some("c")).filled(&[])), json!({"list": ["c"], "type": "x"}));
        assert_eq!(json!(open(&[], None).filled(&[])), json!({"type": "x"}));
        assert_eq!(json!(Group::Fixed(json!({"default": 1})).filled(&["b"])), json!({"default": 1}));
    }
}
