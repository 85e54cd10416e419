//! Python in templates, as far as pages for the old panel use it: methods of texts and objects, dates and their
//! arithmetic, `%` on texts, and `.value` of enums.

mod date;
mod rewrite;
mod tokens;

use std::collections::BTreeMap;

use minijinja::value::{Kwargs, Serde, ValueKind, merge_maps};
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

pub use date::Date;
pub use rewrite::rewritten;

use crate::domain::user::document::UserDocument;

/// Adds what templates can use.
pub fn add_all(environment: &mut Environment<'static>) {
    minijinja_contrib::add_to_environment(environment);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(rewrite::ADD, add);
    environment.add_function(rewrite::SUBTRACT, subtract);
    environment.add_function(rewrite::MODULO, modulo);
    environment.add_function(rewrite::VALUE, value);
}

/// The function `now()` of a rendering.
pub fn now(now: Date) -> Value {
    // The old panel's takes a time zone, and all times are in UTC.
    Value::from_function(move |_zone: Option<Value>, _named: Kwargs| Value::from_object(now))
}

/// The user as a page sees it: an object whose times are dates.
pub fn user(user: &UserDocument) -> Value {
    let dates = [
        ("expire_date", user.expire_date),
        ("activation_deadline", user.activation_deadline),
        ("sub_updated_at", user.sub_updated_at),
        ("online_at", user.online_at),
        ("sub_revoked_at", user.sub_revoked_at),
        ("created_at", Some(user.created_at)),
        ("traffic_reset_at", user.traffic_reset_at),
    ];
    let date = |moment| Value::from_object(Date::from(moment));
    let dates: BTreeMap<&str, Value> =
        dates.into_iter().map(|(name, moment)| (name, moment.map_or(Value::from(()), date))).collect();
    // Of equal names the last counts.
    merge_maps([Value::from(Serde(user)), Value::from(dates)])
}

fn add(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    if let Some(sum) = date::sum(&left, &right) {
        return Ok(sum);
    }
    arithmetic(state, "+", i64::checked_add, left, right)
}

fn subtract(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    if let Some(difference) = date::difference(&left, &right) {
        return Ok(difference);
    }
    arithmetic(state, "-", i64::checked_sub, left, right)
}

/// Formats a text, as `%` does in Python, and otherwise returns the remainder.
fn modulo(state: &mut State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    if left.kind() != ValueKind::String {
        return arithmetic(state, "%", |_, _| None, left, right);
    }
    let mut arguments = vec![left];
    if right.is_tuple() {
        arguments.extend(right.try_iter()?);
    } else {
        arguments.push(right);
    }
    state.apply_filter("format", &arguments)
}

/// The enums of the old panel are texts here, which are their own values.
fn value(of: &Value) -> Result<Value, Error> {
    if of.kind() == ValueKind::String { Ok(of.clone()) } else { of.get_attr("value") }
}

/// Calculates with numbers, texts and lists as the template engine does.
fn arithmetic(
    state: &State<'_, '_>,
    operator: &str,
    of_integers: fn(i64, i64) -> Option<i64>,
    left: Value,
    right: Value,
) -> Result<Value, Error> {
    if left.is_integer()
        && right.is_integer()
        && let (Some(one), Some(other)) = (left.as_i64(), right.as_i64())
        && let Some(result) = of_integers(one, other)
    {
        return Ok(result.into());
    }
    let expression = format!("left {operator} right");
    let of_engine = state.env().compile_expression(&expression).and_then(|expression| {
        let values = context! { left => left, right => right };
        expression.eval(values)
    });
    // The other expression's place in it would say nothing.
    of_engine.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.detail().unwrap_or(operator).to_owned()))
}
