//! Reads operators' templates as objects and takes them apart.

use serde_json::{Map, Value};

/// Why a text is not a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is not JSON.
    #[error("the template is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// It is not YAML.
    #[error("the template is not valid YAML")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// It has another shape.
    #[error("the template must be an object, and its outbounds, endpoints and proxy-groups must be lists of objects")]
    Shape,
}

/// Reads a JSON object.
pub fn parse_json(text: &str) -> Result<Map<String, Value>, TemplateError> {
    match serde_json::from_str(text).map_err(TemplateError::Json)? {
        Value::Object(object) => Ok(object),
        _ => Err(TemplateError::Shape),
    }
}

/// Removes a member that must be a list of objects; a missing member is an empty list.
pub fn take_objects(object: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, TemplateError> {
    match object.remove(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.iter().all(Value::is_object) => Ok(list),
        Some(_) => Err(TemplateError::Shape),
    }
}

/// An object as JSON without its braces.
pub fn members(object: &Map<String, Value>) -> String {
    object.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect::<Vec<_>>().join(",")
}
