use proptest::prelude::*;

use super::*;
use crate::{Instance, Registry};

fn entry(id: &str) -> Entry {
    Entry::from(Instance::new("http://new:1").unwrap().with_id(id).unwrap())
}

fn registered(text: &str, service: &str, entry: &Entry) -> String {
    let root = parse_json(text).unwrap();
    let mut edits = Edits::default();
    register(&mut edits, text, &root, service, entry).unwrap();
    edits.apply(text)
}

fn removed(text: &str, out: impl Fn(&str, &str) -> bool) -> String {
    let root = parse_json(text).unwrap();
    let mut edits = Edits::default();
    remove(&mut edits, &root, out);
    edits.apply(text)
}

const PRETTY: &str = r#"{
  "global_config": {"owner": "ops",   "n": 1.50},
  "templates": {
    "fs": {
      "note": "keep  me",
      "instances": [
        {
          "id": "fs-1",
          "is_healthy": true,
          "endpoint": "http://one"
        }
      ]
    }
  }
}
"#;

#[test]
fn a_new_registry_looks_as_people_write_it() {
    let text = registered(EMPTY, "fs", &entry("fs-1"));
    assert_eq!(
        text,
        r#"{
  "templates": {
    "fs": {
      "instances": [
        {"id": "fs-1", "template_name": "fs", "transport": "http", "endpoint": "http://new:1/"}
      ]
    }
  },
  "last_updated": null
}
"#
    );
}

#[test]
fn a_new_instance_follows_the_last_one_and_all_else_stays() {
    let text = registered(PRETTY, "fs", &entry("fs-2"));
    let added = r#",
        {
          "id": "fs-2",
          "template_name": "fs",
          "transport": "http",
          "endpoint": "http://new:1/"
        }"#;
    assert_eq!(text.replacen(added, "", 1), PRETTY);
}

#[test]
fn a_replaced_instance_keeps_fields_that_nothing_knows() {
    let text = registered(PRETTY, "fs", &entry("fs-1"));
    let new = r#"{
          "id": "fs-1",
          "template_name": "fs",
          "transport": "http",
          "endpoint": "http://new:1/",
          "is_healthy": true
        }"#;
    assert!(text.contains(new), "{text}");
    assert!(text.contains("\"note\": \"keep  me\"") && text.contains("1.50"));
    assert_eq!(registered(&text, "fs", &entry("fs-1")), text);
}

#[test]
fn a_new_service_stands_beside_the_others_in_either_root() {
    for root in ["templates", "servers"] {
        let old = PRETTY.replace("templates", root);
        let text = registered(&old, "db", &entry("db-1"));
        let registry = Registry::from_json(&text).unwrap();
        assert_eq!(registry.services.len(), 2);
        assert_eq!(registry.service("db").unwrap().instances.len(), 1);
        assert!(
            text.starts_with(&old[..old.find("\n  }\n}").unwrap()]),
            "{text}"
        );
    }
}

#[test]
fn one_line_stays_one_line() {
    let old = r#"{"templates":{"a":{"instances":[]},"b":{},"c":{"instances":null}}}"#;
    let mut text = old.to_owned();
    for service in ["a", "b", "c", "d"] {
        text = registered(&text, service, &entry("1"));
        text = registered(&text, service, &entry("2"));
    }
    assert!(!text.contains('\n'));
    let registry = Registry::from_json(&text).unwrap();
    assert_eq!(registry.instance_count(), 8);
}

#[test]
fn a_text_that_was_given_is_written_as_it_was() {
    let raw = r#"{"endpoint": "http:\/\/a", "x": 1.0e1, "template_name": null}"#;
    let (entry, _) = Entry::from_json(raw, Some("i")).unwrap();
    let text = registered(EMPTY, "fs", &entry);
    assert!(
        text.contains(
            r#"{"id": "i", "endpoint": "http:\/\/a", "x": 1.0e1, "template_name": "fs"}"#
        ),
        "{text}"
    );
}

#[test]
fn programs_are_written_and_read_again() {
    let launch = crate::Launch::new(vec!["python".into(), "a \"b\".py".into()]).unwrap();
    let launch = launch.working_dir("/app").env("TOKEN", "x");
    let program = Entry::program("p", launch.clone()).unwrap();
    let registry = Registry::from_json(&registered(EMPTY, "s", &program)).unwrap();
    let read = registry.service("s").unwrap().entry("p").unwrap();
    assert_eq!(read.launch.as_deref(), Some(&launch));
    assert_eq!(read.instance.uri(), program.instance.uri());
}

#[test]
fn the_last_instance_takes_its_service_along_unless_more_is_said_of_it() {
    let text = registered(PRETTY, "db", &entry("db-1"));
    assert_eq!(removed(&text, |service, _| service == "db"), PRETTY);
    let text = removed(PRETTY, |service, _| service == "fs");
    let registry = Registry::from_json(&text).unwrap();
    assert!(registry.service("fs").unwrap().instances.is_empty());
    assert!(text.contains("keep  me"));
}

proptest! {
    #[test]
    fn whatever_is_taken_out_the_rest_stays(
        out in proptest::collection::vec(any::<bool>(), 1..12),
        pretty in any::<bool>(),
    ) {
        let list: Vec<_> = (0..out.len())
            .map(|n| format!(r#"{{"id": "{n}", "endpoint": "http://a:8{n}"}}"#))
            .collect();
        let list = list.join(if pretty { ",\n    " } else { "," });
        let text = format!(r#"{{"templates": {{"a": {{"x": 1, "instances": [{list}]}}}}}}"#);
        let text = removed(&text, |_, id| out[id.parse::<usize>().unwrap()]);
        let registry = Registry::from_json(&text).unwrap();
        let left: Vec<usize> = registry
            .service("a")
            .unwrap()
            .instances
            .iter()
            .map(|it| it.id().parse().unwrap())
            .collect();
        let expected: Vec<usize> = (0..out.len()).filter(|n| !out[*n]).collect();
        prop_assert_eq!(left, expected);
    }
}
