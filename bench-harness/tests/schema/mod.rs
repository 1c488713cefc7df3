//! A check of JSON against the published schemas, with as much of JSON Schema as they use.

use std::path::Path;

use serde_json::Value;

/// Panics with a path where `value` does not follow the schema `docs/bench/schema/NAME.json`.
#[track_caller]
pub(crate) fn check(name: &str, value: &Value) {
    let path = format!("{}/../docs/bench/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(Path::new(&path)).expect("the schema is published");
    let schema: Value = serde_json::from_str(&text).expect("it is JSON");
    if let Err(error) = follows(&schema, &schema, value, "$") {
        panic!("{name}: {error}");
    }
}

fn follows(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("a local one");
                follows(root, &root["$defs"][name], value, at)?;
            }
            "type" => {
                let types: Vec<&str> = match rule {
                    Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                    one => one.as_str().into_iter().collect(),
                };
                if !types.iter().any(|name| is(name, value)) {
                    return Err(format!("{at} is {value}, not of type {rule}"));
                }
            }
            "const" if value != rule => return Err(format!("{at} is {value}, not {rule}")),
            "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                return Err(format!("{at} is {value}, not one of {rule}"));
            }
            "oneOf" => {
                let all = rule.as_array().expect("a list of schemas");
                let fitting = all.iter().filter(|one| follows(root, one, value, at).is_ok()).count();
                if fitting != 1 {
                    return Err(format!("{at} fits {fitting} of {rule}"));
                }
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                return Err(format!("{at} is {value}, below {rule}"));
            }
            "minLength" | "maxLength" => {
                let length = value.as_str().map_or(0, |text| text.chars().count()) as u64;
                let limit = rule.as_u64().expect("a number");
                if (keyword == "minLength" && length < limit) || (keyword == "maxLength" && length > limit) {
                    return Err(format!("{at} has the length {length}, against {keyword} {limit}"));
                }
            }
            "minItems"
                if value.as_array().is_some_and(|all| (all.len() as u64) < rule.as_u64().unwrap_or(0)) =>
            {
                return Err(format!("{at} has too few items"));
            }
            "required" => {
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if value.is_object() && value.get(name).is_none() {
                        return Err(format!("{at}.{name} is missing"));
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    follows(root, rule, item, &format!("{at}[{index}]"))?;
                }
            }
            "properties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    if let Some(property) = rule.get(name) {
                        follows(root, property, item, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    if schema["properties"].get(name).is_none() {
                        let at = format!("{at}.{name}");
                        match rule {
                            Value::Bool(false) => return Err(format!("{at} is not in the schema")),
                            rule => follows(root, rule, item, &at)?,
                        }
                    }
                }
            }
            "const" | "enum" | "minimum" | "minItems" | "$schema" | "$defs" | "title" | "description" => {}
            other => panic!("this check does not know `{other}`"),
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called `{other}`"),
    }
}
