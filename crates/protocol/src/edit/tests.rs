use super::*;

fn edited(json: &str, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let mut edit = Edit::new(json.as_bytes());
    change(&mut edit);
    String::from_utf8(edit.finish().unwrap().into()).unwrap()
}

#[test]
fn values_are_found_by_path() {
    let json = br#" {"a":{"b":[1, {"c" : 1.10 }],"b\u0062":2}, "a\u0061":3, "t":"\u0041"} "#;
    assert_eq!(get(json, &["a", "b", "1", "c"]), Some("1.10"));
    assert_eq!(get(json, &["a", "b", "0"]), Some("1"));
    assert_eq!(get(json, &["a", "bb"]), Some("2"));
    assert_eq!(get(json, &["aa"]), Some("3"));
    assert_eq!(get(json, &["a", "b", "01"]), None);
    assert_eq!(get(json, &["a", "b", "2"]), None);
    assert_eq!(get(json, &["aa", "x"]), None);
    assert_eq!(get(json, &[]).map(str::len), Some(json.len() - 2));
    assert_eq!(text(get(json, &["t"]).unwrap()).as_deref(), Some("A"));
    assert_eq!(get(br#"{"a":1,"a":2}"#, &["a"]), Some("2"));
    assert_eq!(get(br#"{"a":1"#, &["a"]), None);
}

#[test]
fn setting_replaces_or_adds() {
    let set = |json: &str, path: &[&str], value: &str| {
        edited(json, |edit| {
            edit.set(path, value);
        })
    };
    assert_eq!(set(r#"{ "a" : 1 }"#, &["a"], "2"), r#"{ "a" : 2 }"#);
    assert_eq!(set(r#"{ "a" : 1 }"#, &["b"], "2"), r#"{ "a" : 1,"b":2 }"#);
    assert_eq!(set("{ }", &["b"], "2"), r#"{"b":2 }"#);
    assert_eq!(set("{}", &["a", "b"], "2"), r#"{"a":{"b":2}}"#);
    assert_eq!(set(r#"[1,{"a":2}]"#, &["1", "a"], "3"), r#"[1,{"a":3}]"#);
    assert_eq!(set("1", &[], "2"), "2");
}

#[test]
fn removing_takes_the_right_comma() {
    let remove = |json: &str, names: &[&str]| {
        edited(json, |edit| {
            for name in names {
                edit.remove(&[name]);
            }
        })
    };
    let json = r#"{"a":1, "b":2, "c":3}"#;
    assert_eq!(remove(json, &["a"]), r#"{"b":2, "c":3}"#);
    assert_eq!(remove(json, &["b"]), r#"{"a":1, "c":3}"#);
    assert_eq!(remove(json, &["c"]), r#"{"a":1, "b":2}"#);
    assert_eq!(remove(json, &["a", "b"]), r#"{"c":3}"#);
    assert_eq!(remove(json, &["b", "c"]), r#"{"a":1}"#);
    assert_eq!(remove(json, &["c", "a"]), r#"{"b":2}"#);
    assert_eq!(remove(json, &["a", "b", "c"]), "{}");
    assert_eq!(remove(json, &["x"]), json);
    assert_eq!(remove("[1, 2, 3]", &["0", "2"]), "[2]");
    assert_eq!(remove(r#"{"a":1,"b":2,"a":3}"#, &["a"]), r#"{"b":2}"#);
}
