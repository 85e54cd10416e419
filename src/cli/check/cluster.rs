//! The cluster is sound: every process reaches the database quickly enough to lead.

use serde_json::Value;

use super::panel::Panel;
use super::report::StepResult;

/// Reads what each member reports about itself.
pub(super) async fn is_sound(panel: &Panel) -> StepResult {
    let response = panel.get("/api/cluster").await?;
    if response.status != 200 {
        return Err(format!("GET /api/cluster responds {}", response.status));
    }
    judge(&response.body)
}

fn judge(cluster: &Value) -> StepResult {
    let members: Vec<&Value> = cluster["members"].as_array().into_iter().flatten().collect();
    let count = members.len();
    if let Some(member) = members.iter().find(|member| member["can_work"] == false) {
        return Err(format!(
            "the task connections of {} do not reach a database that they can write to; check SQLALCHEMY_DATABASE_URL and \
             the network there",
            host(member)
        ));
    }
    // On SQLite there is no round trip.
    if let Some(supported) = cluster["supported_round_trip_ms"].as_f64() {
        let round_trip = |member: &Value| member["round_trip_ms"].as_f64();
        let slowest = members.iter().filter_map(|member| Some((round_trip(member)?, host(member))));
        let Some((slowest, host)) = slowest.max_by(|one, other| one.0.total_cmp(&other.0)) else {
            return Ok(format!("{count} members"));
        };
        if slowest > supported {
            return Err(format!(
                "a round trip from {host} to the database takes {slowest:.0} ms, and LEASE_TTL_SECONDS supports \
                 {supported:.0} ms; raise it on all hosts, or move the panel nearer to the database"
            ));
        }
        return Ok(format!("{count} members, at most {slowest:.1} ms from the database"));
    }
    Ok(format!("{count} members"))
}

fn host(member: &Value) -> &str {
    member["host"].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slowest_member_must_be_near_enough_to_the_database() {
        let cluster = |supported: Value, far: Value| {
            let members = json!([{"host": "ann", "round_trip_ms": 0.4}, {"host": "ben", "round_trip_ms": far}]);
            judge(&json!({"supported_round_trip_ms": supported, "members": members}))
        };
        assert_eq!(cluster(Value::Null, Value::Null).as_deref(), Ok("2 members"));
        assert_eq!(cluster(json!(400), json!(12.3)).as_deref(), Ok("2 members, at most 12.3 ms from the database"));
        let far = cluster(json!(400), json!(401.0)).expect_err("too far");
        assert!(far.starts_with("a round trip from ben to the database takes 401 ms"), "{far}");
    }

    #[test]
    fn every_member_must_be_able_to_work_unless_it_does_not_say() {
        let cluster = |can_work: Value| judge(&json!({"members": [{"host": "ann", "can_work": can_work}]}));
        assert_eq!(cluster(json!(true)).as_deref(), Ok("1 members"));
        assert_eq!(cluster(Value::Null).as_deref(), Ok("1 members"));
        let unable = cluster(json!(false)).expect_err("unable");
        assert!(unable.starts_with("the task connections of ann do not reach a database"), "{unable}");
    }
}
