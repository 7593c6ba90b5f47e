//! A Prometheus with the metrics of a daemon evaluates every expression of the rules and of the
//! dashboard. None is an error, and each has a value, except those that need a forecast or a limit
//! from a file.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::scrape::prometheus::Prometheus;

/// The dashboard that packages bring.
const DASHBOARD: &str = include_str!("../../../../packaging/grafana/ctdrop.json");

/// The values that Grafana gives its variables when "All" is chosen.
const VARIABLES: [(&str, &str); 3] = [
    ("$__rate_interval", "1m"),
    ("$instance", ".*"),
    ("$job", ".*"),
];

/// Metrics that have no series while no table fills, or if no file decides the limit.
const SOMETIMES: [&str; 2] = [
    "ctdrop_table_full_in_seconds",
    "ctdrop_table_entries_limit_after",
];

/// Demands it, while packets are refused in a full table.
pub(super) fn demand_values(prometheus: &Prometheus) -> Result<()> {
    let rules = prometheus.rules()?;
    ensure!(rules.len() >= 9, "{rules:?}");
    for rule in &rules {
        ensure!(rule.health == "ok", "{rule:?}");
        let found = prometheus.query(&rule.expression)?;
        println!("rule {}: {} elements", rule.name, found.len());
        for metric in metrics_in(&rule.expression) {
            demand(prometheus, metric).with_context(|| rule.name.clone())?;
        }
    }
    let expressions = dashboard()?;
    ensure!(expressions.len() >= 20, "{expressions:?}");
    for expression in &expressions {
        demand(prometheus, expression)?;
    }
    println!("{} expressions of the dashboard", expressions.len());
    Ok(())
}

/// Demands that an expression has a value, unless it asks for what is not always there.
fn demand(prometheus: &Prometheus, expression: &str) -> Result<()> {
    let found = prometheus.query(expression).context("no answer")?;
    let sometimes = SOMETIMES.iter().any(|metric| expression.contains(metric));
    ensure!(sometimes || !found.is_empty(), "no value: {expression}");
    Ok(())
}

/// All expressions of the dashboard, as Grafana asks them: of the panels, and of the
/// variables, whose values are those of a label.
fn dashboard() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets
        .flatten()
        .filter_map(|target| target["expr"].as_str());
    let mut all: Vec<String> = expressions.map(substituted).collect();
    let variables = dashboard["templating"]["list"].as_array();
    for variable in variables.context("no variables")? {
        if let Some(query) = variable["query"]["query"].as_str() {
            all.push(label_values(query).context("not the values of a label")?);
        }
    }
    Ok(all)
}

fn substituted(expression: &str) -> String {
    VARIABLES
        .into_iter()
        .fold(expression.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
}

/// `label_values(METRIC, LABEL)` of Grafana as an expression.
fn label_values(query: &str) -> Option<String> {
    let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
    let (metric, label) = inside.split_once(", ")?;
    Some(format!("group by ({label}) ({metric}{{{label}!=\"\"}})"))
}

/// The metrics that an expression names: words that only they can be.
fn metrics_in(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let is_metric = |word: &&str| word.contains("ctdrop_") || *word == "up";
    words.filter(is_metric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_in_an_expression() {
        let expression = "sum by (job) (rate(ctdrop_a_total{b=~\"c\"}[5m])) > 0 or up == 0";
        assert_eq!(metrics_in(expression), ["ctdrop_a_total", "up"]);
        assert_eq!(
            metrics_in("instance:ctdrop_a:rate5m"),
            ["instance:ctdrop_a:rate5m"]
        );
    }

    #[test]
    fn variables_of_the_dashboard_have_values() {
        let all = dashboard().unwrap();
        assert!(all.iter().all(|expression| !expression.contains('$')));
        assert!(all.contains(&"group by (job) (ctdrop_build_info{job!=\"\"})".to_owned()));
    }
}
