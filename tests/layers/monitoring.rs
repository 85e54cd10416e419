//! Alerts name existing metrics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fancy_regex::Regex;

/// Collects the names of all metrics in the sources.
fn metric_names(folder: &Path, names: &mut BTreeSet<String>) {
    let metric = Regex::new(r#"(?:counter|gauge|histogram)!\(\s*"([a-z_]+)""#).expect("a pattern");
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            metric_names(&path, names);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            let found = metric.captures_iter(&source).map(|found| found.expect("a match")[1].to_owned());
            names.extend(found);
        }
    }
}

#[test]
fn alerts_name_existing_metrics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut metrics = BTreeSet::new();
    metric_names(&root.join("src"), &mut metrics);
    let rules = fs::read_to_string(root.join("deploy/monitoring/sarban.rules.yml")).expect("the rules");
    let expressions: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 10, "{expressions:?}");
    // Labels, a range or a closing bracket follow the name of a metric.
    let name = Regex::new(r"\b([a-z_]+)(?=[\[{)])").expect("a pattern");
    for expression in expressions {
        let named: Vec<String> =
            name.captures_iter(expression).map(|found| found.expect("a match")[1].to_owned()).collect();
        let known = |name: &String| metrics.contains(name.trim_end_matches("_bucket"));
        // `by (task)` names a label.
        let unknown: Vec<&String> = named
            .iter()
            .filter(|name| !known(name) && !["task", "node", "le", "instance"].contains(&name.as_str()))
            .collect();
        assert!(named.iter().any(known), "no metric in {expression}");
        assert!(unknown.is_empty(), "{unknown:?} in {expression}");
    }
}
