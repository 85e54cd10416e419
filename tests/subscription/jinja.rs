//! Pages of operators: Jinja with Python's methods, as in the old panel. Python's own Jinja renders each template for the same
//! random users, and must return the same page.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::domain::user::document::UserDocument;
use sarban::subscription::pages::{PageNames, Pages, Support, nobody};
use serde_json::{Value, json};

use crate::support;

/// 2026-11-23T20:36:25.
const NOW: Moment = Moment::from_micros(1_795_466_185 * SECOND);
const USERS: usize = 60;

const DATES: [&str; 7] = [
    "expire_date",
    "activation_deadline",
    "sub_updated_at",
    "online_at",
    "sub_revoked_at",
    "created_at",
    "traffic_reset_at",
];

/// For each of the dates, as DATE.
const OF_DATES: [&str; 16] = [
    "{{ DATE }}",
    "{{ DATE.strftime('%Y-%m-%d %H:%M:%S %j %b %B %a %A %y %I %p %-d %f %% %x %X') }}",
    "{{ DATE.isoformat() }} {{ DATE.isoformat(' ') }} {{ DATE.date() }} {{ DATE.date().isoformat() }}",
    "{{ DATE.timestamp() | int }} {{ '%.3f' % DATE.timestamp() }}",
    "{{ DATE.year }}-{{ DATE.month }}-{{ DATE.day }} {{ DATE.hour }}:{{ DATE.minute }}:{{ DATE.second }}",
    "{{ DATE.weekday() }} {{ DATE.isoweekday() }} {{ DATE.microsecond }}",
    "{{ (DATE - now()).days }} {{ (DATE - now()).seconds // 3600 }} {{ (now() - DATE).total_seconds() | int }}",
    "{{ DATE - now() }} {{ now() - DATE }}",
    "{{ (DATE - now()).days + 1 }}|{{ [(DATE - now()).days, 0] | max }}",
    "{{ 'later' if DATE > now() else 'earlier' }} {{ 'x' if (DATE - now()).days < 3 }}",
    "{{ DATE.replace(hour=0, minute=0, second=0, microsecond=0) }}",
    "{{ now() + (DATE - now()) }} {{ DATE - (DATE - now()) }}",
    "{% set left = DATE - now() %}{% if left %}{{ left.days }}d {{ left.seconds // 3600 }}h {{ left.seconds % 3600 // 60 }}m{% endif %}",
    "{{ (DATE.timestamp() - now().timestamp()) | round | int }}",
    "{{ \"%02d.%02d.%d\" % (DATE.day, DATE.month, DATE.year) }}",
    "{{ DATE.strftime('%d %B %Y').upper() | replace(' ', '-') }}",
];

const OF_USERS: [&str; 26] = [
    "{{ user.expire_strategy.value }} {{ user.data_limit_reset_strategy.value.upper() }}",
    "{{ user.expire_strategy == 'never' }} {{ user.expire_strategy.value != 'fixed_date' }}",
    "{{ 'no' if user.data_limit_reset_strategy.value == 'no_reset' else user.data_limit_reset_strategy.value.title() }}",
    "{{ user.used_traffic | filesizeformat }} {{ user.used_traffic | filesizeformat(true) }}",
    "{{ (user.data_limit or 0) | filesizeformat }}",
    "{{ '%.2f' % (user.used_traffic / 1024 ** 3) }} {{ '{:.1f}'.format(user.used_traffic / 1000000) }}",
    "{{ user.data_limit - user.used_traffic if user.data_limit else '∞' }}",
    "{% if user.data_limit %}{{ 100 - (user.used_traffic * 100 / user.data_limit) | round | int }}%{% endif %}",
    "{{ (user.used_traffic / 1073741824) | round(2) }} {{ user.lifetime_used_traffic % 7 }} {{ user.used_traffic // 1024 }}",
    "{{ '%s of %s' % (user.username.upper(), user.data_limit) }} {{ '%d%%' % 50 }}",
    "{{ user.username.startswith('a') }} {{ user.username.endswith(('z', 'n')) }} {{ user.username[1:] }}",
    "{{ user.username.capitalize() }} {{ user.username.replace('a', 'o') }} {{ user.username | length }}",
    "{{ user.note or 'no note' }} {{ user.note | default('none', true) | upper }}",
    "{{ user.note }} {{ user.sub_last_user_agent }} {{ user.owner_username is none }}",
    "{{ user.nothing }}{{ user.nothing is defined }}{{ user.nothing | default('-') }}",
    "{{ user.is_active }} {{ user.enabled and not user.expired }} {{ user.data_limit_reached | string | lower }}",
    "{% for link in links %}{{ loop.index }}/{{ loop.length }} {{ link }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{{ links | length - 1 }} {{ links | join('\\n') }} {{ (links | first | default('', true)).split('://')[0] }}",
    "<script>const url = \"{{ user.subscription_url }}\"; const n = {{ user.used_traffic }};</script>",
    "{{ user.subscription_url.split('/')[-1] }} {{ user.key[:8] ~ '-' ~ user.id }} {{ user.key | e }}",
    "{% set ns = namespace(n=0) %}{% for link in links %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{% macro size(bytes, unit='GB') %}{{ (bytes / 1024 ** 3) | round(1) }} {{ unit }}{% endmacro %}{{ size(user.used_traffic) }}",
    "{% set d = {'never': 'endless', 'fixed_date': 'dated'} %}{{ d.get(user.expire_strategy.value, '?') }} {{ d.keys() | list | join(',') }}",
    "{% for key, value in {'a': 1, 'b': user.id}.items() %}{{ key }}={{ value - 1 }};{% endfor %}",
    "{{ now().strftime('%Y') }} {{ now().date() }} {{ user.created_at < now() }}",
    "{{ -user.id - 1 }} {{ - 2 ** 2 }} {{ 7 - 2 - 1 }} {{ 7 - (2 - 1) }} {{ 2 * 3 - 4 / 2 }} {{ 'a' + 'b' ~ 1 - 1 if false else 5 % 3 }}",
];

/// Reads templates and users, and writes the pages of each template.
const PYTHON: &str = r#"
import datetime, enum, json, sys, types
import jinja2

def date(text):
    return text and datetime.datetime.fromisoformat(text)

asked = json.load(sys.stdin)
environment = jinja2.Environment(autoescape=True)
now = date(asked["now"])
for user in asked["users"]:
    for name in asked["dates"]:
        user[name] = date(user[name])
    for name in ["expire_strategy", "data_limit_reset_strategy"]:
        user[name] = enum.Enum("Choice", {"X": user[name]}, type=str)(user[name])
pages = []
for source in asked["templates"]:
    template = environment.from_string(source)
    pages.append([template.render(user=types.SimpleNamespace(**user), links=asked["links"], now=lambda: now)
                  for user in asked["users"]])
json.dump(pages, sys.stdout)
"#;

fn random_user(rng: &mut StdRng) -> UserDocument {
    let strategy = ["never", "fixed_date", "start_on_first_use"][rng.random_range(0..3)];
    let mut date = || {
        let micros = rng.random_range(-400 * DAY..400 * DAY);
        rng.random_bool(0.7).then(|| NOW.plus(if rng.random_bool(0.5) { micros } else { micros / SECOND * SECOND }))
    };
    let (expire_date, activation_deadline, sub_updated_at) = (date(), date(), date());
    let (online_at, sub_revoked_at, traffic_reset_at) = (date(), date(), date());
    let created_at = date().unwrap_or(NOW);
    let bytes = |rng: &mut StdRng| {
        let bits = rng.random_range(0..45);
        rng.random_range(0..=1_i64 << bits)
    };
    UserDocument {
        id: rng.random_range(1..1_000_000),
        username: ["ann", "zoé_7", "علی", "bob_the_builder"][rng.random_range(0..4)].to_owned(),
        expire_strategy: strategy,
        expire_date,
        activation_deadline,
        sub_updated_at,
        online_at,
        sub_revoked_at,
        traffic_reset_at,
        created_at,
        data_limit: rng.random_bool(0.7).then(|| bytes(rng) + 1),
        used_traffic: bytes(rng),
        lifetime_used_traffic: bytes(rng),
        data_limit_reset_strategy: ["no_reset", "day", "week", "month", "year"][rng.random_range(0..5)],
        note: rng.random_bool(0.5).then(|| "<b> & \"x\" 'y' /z".to_owned()),
        is_active: rng.random_bool(0.5),
        expired: rng.random_bool(0.5),
        data_limit_reached: rng.random_bool(0.5),
        owner_username: rng.random_bool(0.5).then(|| "root".to_owned()),
        ..nobody()
    }
}

/// Returns the pages of Python's Jinja by template and user.
fn python(asked: &Value) -> Vec<Vec<String>> {
    let programs = ["jinja2-3.1.6", "markupsafe-3.0.3"].map(|package| support::programs().join(package));
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .env("PYTHONPATH", std::env::join_paths(programs).unwrap())
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "Python's Jinja failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn templates_of_the_old_panel_render_as_in_python() {
    let mut templates: Vec<String> = OF_USERS.map(str::to_owned).into();
    for name in DATES {
        let date = format!("user.{name}");
        templates.extend(OF_DATES.map(|text| format!("{{% if {date} %}}{}{{% endif %}}", text.replace("DATE", &date))));
    }
    let mut rng = StdRng::seed_from_u64(7);
    let users: Vec<UserDocument> = (0..USERS).map(|_| random_user(&mut rng)).collect();
    let links = ["vless://a?b=c&d#e", "trojan://x@y:1#z"];
    let asked = json!({
        "now": NOW.naive_iso(), "dates": DATES, "templates": templates, "users": users, "links": links,
    });
    let expected = python(&asked);
    let mut wrong = Vec::new();
    for (template, expected) in templates.iter().zip(&expected) {
        let names = PageNames { user: Some("page.html".to_owned()), ..PageNames::default() };
        let pages = Pages::new([("page.html".to_owned(), template.clone())].into(), names);
        for (user, expected) in users.iter().zip(expected) {
            let support = Support { profile_title: "", support_link: "", link: "", now: NOW };
            let (page, error) = pages.user(user, &links, support);
            if error.is_some() || page != *expected {
                let error = error.map(|error| format!("{:?}", std::error::Error::source(&error)));
                wrong.push(format!("{template}\n  expected {expected:?}\n  got      {:?}", error.unwrap_or(page)));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} templates:\n{}", wrong.len(), templates.len(), wrong.join("\n"));
}
