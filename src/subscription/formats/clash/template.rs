//! The fixed parts of a Clash configuration; operators may supply their own.

use serde_json::{Value, json};

use crate::subscription::formats::template_object::{TemplateError, take_objects};

/// The parts around the proxies.
#[derive(Clone, Debug)]
pub struct ClashTemplate {
    /// The top-level members except `proxies` and `proxy-groups`.
    pub(super) members: Vec<(String, Value)>,
    /// The proxy groups; the entries are added to the first one.
    pub(super) groups: Vec<Value>,
}

impl ClashTemplate {
    /// Reads a complete Clash configuration.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Value::Object(mut object) =
            serde_saphyr::from_str(text).map_err(|error| TemplateError::Yaml(Box::new(error)))?
        else {
            return Err(TemplateError::Shape);
        };
        object.remove("proxies");
        let groups = take_objects(&mut object, "proxy-groups")?;
        Ok(Self { members: object.into_iter().collect(), groups })
    }

    pub(in crate::subscription) fn built_in() -> Self {
        Self {
            members: vec![
                ("mode".to_owned(), json!("Global")),
                ("port".to_owned(), json!(7890)),
                ("rules".to_owned(), json!([])),
            ],
            groups: vec![json!({
                "name": "♻️ Automatic",
                "type": "url-test",
                "url": "http://www.gstatic.com/generate_204",
                "interval": 300,
            })],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_keeps_members_and_groups_and_drops_proxies() {
        let text = "mode: rule # comment\nproxies:\nproxy-groups:\n- name: 'a: b'\n  type: select\n- {name: c}\n";
        let template = ClashTemplate::parse(text).unwrap();
        assert_eq!((template.members.len(), template.groups.len()), (1, 2));
        assert_eq!(template.groups[0]["name"], json!("a: b"));
    }

    #[test]
    fn template_of_another_shape_is_refused() {
        for text in ["", "[]", "a: [", "proxy-groups: 1", "proxy-groups: [1]", "{\"proxy-groups\": 1}"] {
            assert!(ClashTemplate::parse(text).is_err(), "{text}");
        }
    }
}
