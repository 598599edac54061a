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

#[test]
fn several_changes_compose() {
    let json = r#"{"a":{"b":1,"c":2},"d":[1,2,3]}"#;
    let all = edited(json, |edit| {
        edit.set(&["a", "b"], "10")
            .remove(&["a", "c"])
            .set(&["a", "e", "f"], "null")
            .set(&["a", "e", "g"], "{}")
            .set(&["a", "e", "g", "h"], "1")
            .remove(&["d", "0"])
            .set(&["d", "2"], "30")
            .set(&["x"], "1")
            .remove(&["x"])
            .set(&["y"], "1");
    });
    assert_eq!(
        all,
        r#"{"a":{"b":10,"e":{"f":null,"g":{"h":1}}},"d":[2,30],"y":1}"#
    );
    let replaced = edited(json, |edit| {
        edit.set(&["a", "b"], "10")
            .set(&["a"], "[]")
            .remove(&["d"])
            .set(&["d", "x"], "1");
    });
    assert_eq!(replaced, r#"{"a":[],"d":{"x":1}}"#);
    assert_eq!(edited(json, |_| ()), json);
}

#[test]
fn many_changes_in_one_place_find_theirs() {
    let places: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let array = format!("[{}]", places.join(","));
    let all = edited(&array, |edit| {
        // In no order, and some of them more than once.
        for (n, place) in places.iter().enumerate().rev().chain([(7, &places[7])]) {
            match n % 3 {
                0 => edit.set(&[place], "true"),
                1 => edit.set(&[place], "0").set(&[place], &format!("-{n}")),
                _ => edit.remove(&[place]),
            };
        }
    });
    let rest = (0..30).filter(|n| n % 3 != 2).map(|n| match n % 3 {
        0 => "true".to_owned(),
        _ => format!("-{n}"),
    });
    assert_eq!(all, format!("[{}]", rest.collect::<Vec<_>>().join(",")));

    let members: Vec<String> = (0..30).map(|n| format!(r#""\u006d{n}":{n}"#)).collect();
    let object = format!("{{{}}}", members.join(","));
    let all = edited(&object, |edit| {
        for n in 0..31 {
            edit.set(&[&format!("m{n}")], "0");
        }
        edit.remove(&["m3"]);
    });
    let all: std::collections::BTreeMap<String, u8> = serde_json::from_str(&all).unwrap();
    assert_eq!(all.len(), 30);
    assert!(!all.contains_key("m3") && all.values().all(|value| *value == 0));

    let replaced = edited("{}", |edit| {
        for n in 0..20 {
            edit.set(&["a", &n.to_string()], "0");
        }
        edit.remove(&["a"]).set(&["a", "3"], "1");
    });
    assert_eq!(replaced, r#"{"a":{"3":1}}"#);
}

#[test]
fn where_a_member_stands_twice_the_last_one_is_set() {
    let json = r#"{"a":{"x":1},"b":{"x":2},"a":{"x":3},"b":4}"#;
    let set = edited(json, |edit| {
        edit.set(&["a", "x"], "7").set(&["b"], "8");
    });
    assert_eq!(set, r#"{"a":{"x":1},"b":{"x":2},"a":{"x":7},"b":8}"#);
}

#[test]
fn what_cannot_be_edited() {
    let error = |json: &str, path: &[&str], value: &str| {
        let mut edit = Edit::new(json.as_bytes());
        edit.set(path, value);
        edit.finish().unwrap_err()
    };
    assert_eq!(
        error(r#"{"a":1}"#, &["a", "b"], "1"),
        EditError::Parent("a".into())
    );
    assert_eq!(error("[1]", &["1"], "1"), EditError::Element("1".into()));
    assert_eq!(error("[1]", &["x"], "1"), EditError::Element("x".into()));
    assert!(matches!(error("{}", &["a"], "1,"), EditError::Value(_)));
    assert!(matches!(error("{}", &["a"], ""), EditError::Value(_)));
    assert!(matches!(error("{", &["a"], "1"), EditError::Syntax(_)));
    assert!(matches!(error("{} x", &["a"], "1"), EditError::Syntax(_)));
    let mut edit = Edit::new(b"{}");
    edit.remove(&[]);
    assert!(edit.finish().is_err());
    // Removing what is not there is no error, wherever it is not.
    let json = r#"{"a":1}"#;
    for path in [&["b"][..], &["a", "b"], &["b", "c", "d"]] {
        let same = edited(json, |edit| {
            edit.remove(path);
        });
        assert_eq!(same, json);
    }
}

#[test]
fn parts_are_replaced_only_in_their_own_document() {
    let json = br#"{"a":"x","b":"y"}"#;
    let (a, b) = (get(json, &["a"]).unwrap(), get(json, &["b"]).unwrap());
    assert_eq!(
        replace(json, &[(b, "2"), (a, "1")]).unwrap(),
        r#"{"a":1,"b":2}"#
    );
    assert_eq!(replace(json, &[(a, "1"), (a, "1")]), Err(EditError::Part));
    let whole = get(json, &[]).unwrap();
    assert_eq!(
        replace(json, &[(whole, "1"), (a, "1")]),
        Err(EditError::Part)
    );
    assert_eq!(replace(&json[..8], &[(b, "1")]), Err(EditError::Part));
    assert_eq!(replace(&json[8..], &[(a, "1")]), Err(EditError::Part));
    assert_eq!(replace(json, &[]).unwrap(), json[..]);
}

#[test]
fn elements_and_members_are_raw() {
    assert_eq!(
        elements(b" [ 1.10 , {\"a\":2} ] ").unwrap(),
        ["1.10", "{\"a\":2}"]
    );
    assert_eq!(elements(b"[]").unwrap(), [""; 0]);
    assert_eq!(elements(b"{}"), None);
    assert_eq!(elements(b"[1] x"), None);
    let found = members(br#"{"\u0061":1, "\ud800" : [ ] }"#).unwrap();
    assert_eq!(found, [("a".into(), "1"), ("\"\\ud800\"".into(), "[ ]")]);
    assert_eq!(members(b"[]"), None);
    assert_eq!(members(b"{\"a\"}"), None);
}

#[test]
fn texts() {
    assert_eq!(text(r#" "\u00e9\n" "#).as_deref(), Some("é\n"));
    for raw in ["", "1", "null", "\"", "\"a\" b", "\"\\ud800\""] {
        assert_eq!(text(raw), None, "{raw}");
    }
    assert_eq!(string("a\"\\\n\u{1f}é"), "\"a\\\"\\\\\\n\\u001fé\"");
}
