//! The filters and functions of templates, under the names that existing templates use.

use minijinja::value::{Rest, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, escape_formatter};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde_json::{Map, Value as Json};

use super::python::Date;
use crate::domain::bytes::template_bytes;
use crate::domain::moment::Moment;
use crate::subscription::yaml;

/// Adds all filters and functions.
pub fn add_all(environment: &mut Environment<'static>) {
    for name in ["escape", "e"] {
        environment.add_filter(name, |value: Value| {
            if value.is_safe() { value } else { Value::from_safe_string(escaped(&value.to_string())) }
        });
    }
    environment.set_formatter(|out, state, value| {
        let is_plain = value.is_safe() || value.is_undefined() || !matches!(state.auto_escape(), AutoEscape::Html);
        if is_plain {
            return escape_formatter(out, state, value);
        }
        out.write_str(&escaped(&value.to_string())).map_err(Error::from)
    });
    environment.add_filter("bytesformat", |bytes: Value| bytes.as_i64().map(template_bytes));
    environment.add_filter("datetime", |moment: Value| datetime(&moment));
    environment.add_filter("yaml", |value: Value| to_yaml(&value));
    environment
        .add_filter("except", |object: Value, names: Rest<String>| members(&object, |name| !names.contains(name)));
    environment.add_filter("only", |object: Value, names: Rest<String>| members(&object, |name| names.contains(name)));
    environment.add_function("qr", |text: String| Value::from_safe_string(qr(&text)));
}

/// HTML with the characters escaped that Jinja escapes in Python. The engine escapes slashes, too, and scripts within pages
/// read links with slashes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&#34;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

/// `2026-11-23 20:36:25` from a date, a time in the API's form or from Unix seconds; other values are returned unchanged.
fn datetime(moment: &Value) -> Value {
    if let Some(date) = moment.downcast_object_ref::<Date>() {
        return date.moment().civil().strftime("%Y-%m-%d %H:%M:%S").to_string().into();
    }
    let read = match moment.as_str() {
        Some(text) => Moment::parse(text),
        None => f64::try_from(moment.clone()).ok().and_then(Moment::from_unix_number),
    };
    read.map_or_else(|| moment.clone(), |read| read.civil().strftime("%Y-%m-%d %H:%M:%S").to_string().into())
}

/// The value as YAML: one member or item per line, each in JSON syntax.
fn to_yaml(value: &Value) -> Result<Value, Error> {
    let json = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "the value can't be written as YAML").with_source(error)
    })?;
    Ok(Value::from_safe_string(yaml::document(&json)))
}

fn members(object: &Value, keep: impl Fn(&String) -> bool) -> Result<Value, Error> {
    match serde_json::to_value(object) {
        Ok(Json::Object(members)) => {
            let kept: Map<String, Json> = members.into_iter().filter(|(name, _)| keep(name)).collect();
            Ok(Value::from(Serde(kept)))
        }
        _ => Err(Error::new(ErrorKind::InvalidOperation, "except and only need an object")),
    }
}

/// The QR code of a text as SVG; empty when the text is too long.
fn qr(text: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        return String::new();
    };
    let drawing = code.render::<svg::Color<'_>>().min_dimensions(160, 160).build();
    // The XML declaration before the element is not allowed within HTML.
    drawing.find("<svg").map(|at| drawing[at..].to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let mut environment = Environment::new();
        add_all(&mut environment);
        let conf = serde_json::json!({"a": {"b": [1, "é: x"]}, "proxy-groups": [], "proxies": [{"name": "n"}]});
        let values = minijinja::context! { conf => Serde(conf), list => vec! ["a", "b: c"] };
        environment.render_str(text, values).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn value_is_written_as_yaml() {
        assert_eq!(render("{{ conf | except('proxy-groups', 'a') | yaml }}"), "\"proxies\":\n- {\"name\": \"n\"}\n");
        assert_eq!(render("{{ conf | only('a') | yaml }}"), "\"a\": {\"b\": [1, \"é: x\"]}\n");
        assert!(render("{{ list | yaml | indent(2) }}").starts_with("- \"a\"\n  - \"b: c\""));
        assert_eq!(render("{{ 'x' | yaml }}{{ [] | yaml }}{{ {} | yaml }}"), "\"x\"[]{}");
        assert!(render("{{ list | only('a') }}").contains("need an object"));
    }

    #[test]
    fn time_and_bytes_are_formatted() {
        assert_eq!(
            render("{{ 0 | datetime }} {{ '2026-11-23T20:36:25' | datetime }}"),
            "1970-01-01 00:00:00 2026-11-23 20:36:25"
        );
        assert_eq!(
            render("{{ none | datetime }} {{ 'x' | datetime }} {{ 1536 | bytesformat }} {{ none | bytesformat }}"),
            "None x 1.5 KB None"
        );
    }

    #[test]
    fn text_that_is_too_long_has_no_qr_code() {
        assert!(qr("https://a.example/sub/x").starts_with("<svg"));
        assert_eq!(qr(&"a".repeat(5_000)), "");
    }
}
