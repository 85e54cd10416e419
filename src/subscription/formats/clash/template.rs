//! The fixed parts of a Clash configuration; operators may supply their own.

use serde_json::{Value, json};

use crate::subscription::formats::group::{Group, OpenGroup};
use crate::subscription::formats::template_object::{TemplateError, take_objects};

/// The names that Mihomo uses itself.
const RESERVED: [&str; 6] = ["DIRECT", "REJECT", "REJECT-DROP", "PASS", "COMPATIBLE", "GLOBAL"];

/// The member of a group with the names that it lists.
const LIST: &str = "proxies";

/// The parts around the entries.
#[derive(Clone, Debug)]
pub struct ClashTemplate {
    /// The top-level members except `proxies` and `proxy-groups`.
    pub(super) members: Vec<(String, Value)>,
    /// The operator's own proxies.
    pub(super) proxies: Vec<Value>,
    /// The proxy groups.
    pub(super) groups: Vec<Group>,
    /// All names that entries must not have.
    pub(super) names: Vec<String>,
}

impl ClashTemplate {
    /// Reads a complete Clash configuration.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Value::Object(mut object) =
            serde_saphyr::from_str(text).map_err(|error| TemplateError::Yaml(Box::new(error)))?
        else {
            return Err(TemplateError::Shape);
        };
        // A key with nothing below it is null.
        object.retain(|name, value| !(value.is_null() && matches!(name.as_str(), "proxies" | "proxy-groups")));
        let proxies = take_objects(&mut object, "proxies")?;
        let groups = take_objects(&mut object, "proxy-groups")?;
        Ok(Self::new(object.into_iter().collect(), proxies, &groups))
    }

    pub(in crate::subscription) fn built_in() -> Self {
        let members = [("mode", json!("Global")), ("port", json!(7890)), ("rules", json!([]))];
        let group = json!({
            "name": "♻️ Automatic",
            "type": "url-test",
            "url": "http://www.gstatic.com/generate_204",
            "interval": 300,
        });
        Self::new(members.map(|(name, value)| (name.to_owned(), value)).to_vec(), Vec::new(), &[group])
    }

    fn new(members: Vec<(String, Value)>, proxies: Vec<Value>, groups: &[Value]) -> Self {
        let own = groups.iter().chain(&proxies).filter_map(|one| one["name"].as_str());
        let names: Vec<String> = own.chain(RESERVED).map(str::to_owned).collect();
        let first_selector = groups.iter().position(|group| group["type"] == "select");
        let numbered = groups.iter().enumerate();
        let groups = numbered.map(|(at, group)| open(group, Some(at) == first_selector, &names)).collect();
        Self { members, proxies, groups, names }
    }
}

/// A group of a template with these names. Entries are added to groups that list nothing, and to the first selector. A name
/// that does not exist makes clients refuse the file, and so does an empty group: such names are left out, and a group
/// without any name rejects connections rather than passing them in the clear.
fn open(group: &Value, is_first_selector: bool, names: &[String]) -> Group {
    let listed = group[LIST].as_array().map(Vec::as_slice).unwrap_or_default();
    let exists = |name: &&str| names.iter().any(|known| known == *name);
    let listed: Vec<String> = listed.iter().filter_map(Value::as_str).filter(exists).map(str::to_owned).collect();
    let has_other_source = ["use", "include-all", "include-all-proxies", "include-all-providers"]
        .iter()
        .any(|source| group.get(source).is_some_and(|value| !value.is_null() && *value != false));
    let takes_entries = is_first_selector || listed.is_empty() && !has_other_source;
    if listed.is_empty() && !takes_entries {
        return Group::Fixed(group.clone());
    }
    let mut members = group.as_object().cloned().unwrap_or_default();
    members.insert(LIST.to_owned(), listed.as_slice().into());
    if takes_entries {
        let fallback = (!has_other_source).then(|| "REJECT".to_owned());
        Group::Open(OpenGroup { members, list: LIST, listed, fallback })
    } else {
        Group::Fixed(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_keeps_members_groups_and_proxies() {
        let text = "mode: rule # comment\nproxies:\nproxy-groups:\n- name: 'a: b'\n  type: select\n- {name: c}\n";
        let template = ClashTemplate::parse(text).unwrap();
        assert_eq!((template.members.len(), template.groups.len(), template.proxies.len()), (1, 2, 0));
        assert_eq!(json!(template.groups[0].filled(&[]))["name"], json!("a: b"));
        let text = "proxies:\n- {name: own, type: http, server: a.example, port: 1}\n";
        assert_eq!(ClashTemplate::parse(text).unwrap().proxies.len(), 1);
    }

    #[test]
    fn entries_are_added_to_groups_that_ask_for_them() {
        let text = "
proxies:
- {name: own, type: http, server: a.example, port: 1}
proxy-groups:
- {name: auto, type: url-test}
- {name: main, type: select, proxies: [auto, own, gone, DIRECT]}
- {name: other, type: select, proxies: [main, DIRECT]}
- {name: stale, type: fallback, proxies: [gone]}
- {name: provided, type: select, use: [provider]}
";
        let template = ClashTemplate::parse(text).unwrap();
        let lists = |entries: &[&str]| -> Vec<Value> {
            template.groups.iter().map(|group| json!(group.filled(entries))["proxies"].clone()).collect()
        };
        assert_eq!(
            lists(&["a", "b"]),
            [
                json!(["a", "b"]),
                json!(["auto", "own", "DIRECT", "a", "b"]),
                json!(["main", "DIRECT"]),
                json!(["a", "b"]),
                json!(null)
            ]
        );
        assert_eq!(lists(&[])[0], json!(["REJECT"]), "never a direct connection");
    }

    #[test]
    fn template_of_another_shape_is_refused() {
        for text in ["", "[]", "a: [", "proxy-groups: 1", "proxy-groups: [1]", "{\"proxy-groups\": 1}", "proxies: 1"] {
            assert!(ClashTemplate::parse(text).is_err(), "{text}");
        }
    }
}
