use std::fs;

use super::*;
use crate::{Instance, file::replace::beside};

fn instance(id: &str) -> Instance {
    Instance::new("http://10.0.0.1:80")
        .unwrap()
        .with_id(id)
        .unwrap()
}

struct Fixture {
    _directory: tempfile::TempDir,
    path: PathBuf,
    store: RegistryStore,
}

fn fixture(text: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    if !text.is_empty() {
        fs::write(&path, text).unwrap();
    }
    Fixture {
        store: RegistryStore::new(&path),
        _directory: directory,
        path,
    }
}

#[tokio::test]
async fn instances_come_and_go() {
    let it = fixture("");
    assert_eq!(it.store.load().await.unwrap().services.len(), 0);
    assert!(!it.path.exists());
    assert!(!it.store.register("a", instance("1")).await.unwrap());
    assert!(!it.store.register("a", instance("2")).await.unwrap());
    assert!(
        it.store
            .register("a", instance("1").with_weight(5).unwrap())
            .await
            .unwrap()
    );
    let listed = it.store.list().await.unwrap();
    let read: Vec<_> = listed
        .iter()
        .map(|it| {
            (
                &*it.service,
                &**it.entry.instance.id(),
                it.entry.instance.weight(),
            )
        })
        .collect();
    assert_eq!(read, [("a", "1", 5), ("a", "2", 1)]);
    let gone = it.store.deregister("a", "1").await.unwrap();
    assert_eq!(gone.instance.weight(), 5);
    let again = it.store.deregister("a", "1").await.unwrap_err();
    assert_eq!(again.to_string(), "service `a` has no instance `1`");
    it.store.deregister("a", "2").await.unwrap();
    assert_eq!(it.store.load().await.unwrap().services.len(), 0);
}

#[tokio::test]
async fn what_is_added_takes_nobodys_place() {
    let it = fixture("");
    assert!(it.store.add("a", instance("1")).await.unwrap());
    let text = fs::read_to_string(&it.path).unwrap();
    let other = instance("1").with_weight(5).unwrap();
    assert!(!it.store.add("a", other.clone()).await.unwrap());
    assert_eq!(fs::read_to_string(&it.path).unwrap(), text);
    assert!(it.store.add("b", other).await.unwrap());
    assert_eq!(it.store.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_is_dated_when_it_says_when_it_was_written() {
    let it = fixture(
        r#"{"templates": {}, "last_updated": "x", "metadata": {"last_modified": 1, "version": "2"}}"#,
    );
    it.store.register("a", instance("1")).await.unwrap();
    let text = fs::read_to_string(&it.path).unwrap();
    assert_eq!(text.matches("Z\"").count(), 2, "{text}");
    assert!(text.contains(r#""version": "2""#));
    let it = fixture(r#"{"templates": {}}"#);
    it.store.register("a", instance("1")).await.unwrap();
    assert!(
        !fs::read_to_string(&it.path)
            .unwrap()
            .contains("last_updated")
    );
}

#[tokio::test]
async fn a_broken_file_is_never_written_to() {
    for text in [
        "{\"templates\": {\"a\": ",
        " ",
        "[]",
        "{}",
        "{\"templates\": {\"a\": {\"instances\": [{}]}}}",
    ] {
        let it = fixture(text);
        for result in [
            it.store.register("a", instance("1")).await.map(drop),
            it.store.deregister("a", "1").await.map(drop),
            it.store.cleanup(0, false).await.map(drop),
            it.store.load().await.map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
            assert!(error.to_string().contains("line 1, column "), "{error}");
            let source = std::error::Error::source(&error);
            assert!(source.is_none(), "nothing is said twice: {error}");
        }
        assert_eq!(fs::read_to_string(&it.path).unwrap(), text);
    }
}

#[tokio::test]
async fn a_file_that_was_there_and_is_gone_is_not_made_anew() {
    let it = fixture("");
    let store = it.store.clone().may_be_missing(false);
    for result in [
        store.register("a", instance("1")).await.map(drop),
        store.deregister("a", "1").await.map(drop),
        store.cleanup(0, false).await.map(drop),
        store.load().await.map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains("was there and is gone"),
            "{error}"
        );
    }
    let directory = it.path.parent().unwrap();
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
    fs::write(&it.path, r#"{"templates": {}}"#).unwrap();
    store.register("a", instance("1")).await.unwrap();
}

#[tokio::test]
async fn what_would_break_the_file_is_refused() {
    let it = fixture("");
    let error = it.store.register("", instance("1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
    assert!(!it.path.exists());
}

#[tokio::test]
async fn cleanup_takes_out_those_on_record_as_failing() {
    let text = r#"{"templates": {"a": {"instances": [
  {"id": "1", "endpoint": "http://a", "consecutive_failures": 7},
  {"id": "2", "endpoint": "http://b", "consecutive_failures": 5},
  {"id": "3", "endpoint": "http://c"}
]}, "b": {"instances": [{"id": "4", "endpoint": "http://d", "consecutive_failures": 5}]}}}"#;
    let it = fixture(text);
    let ids = |list: &[Listed]| -> Vec<String> {
        list.iter()
            .map(|it| it.entry.instance.id().to_string())
            .collect()
    };
    let named = it.store.cleanup(5, true).await.unwrap();
    assert_eq!(ids(&named), ["1", "2", "4"]);
    assert_eq!(fs::read_to_string(&it.path).unwrap(), text);
    assert_eq!(it.store.cleanup(5, false).await.unwrap(), named);
    assert_eq!(ids(&it.store.list().await.unwrap()), ["3"]);
    assert!(it.store.load().await.unwrap().service("b").is_none());
}

#[tokio::test]
async fn a_change_that_changes_nothing_does_not_write() {
    let it = fixture("");
    it.store.register("a", instance("1")).await.unwrap();
    let text = fs::read_to_string(&it.path).unwrap();
    assert!(it.store.register("a", instance("1")).await.unwrap());
    it.store.cleanup(5, false).await.unwrap();
    assert_eq!(fs::read_to_string(&it.path).unwrap(), text);
}

#[tokio::test]
async fn a_writer_that_never_ends_is_not_waited_for_forever() {
    let it = fixture("");
    let lock = fs::File::create(lock::of(&it.path)).unwrap();
    lock.lock().unwrap();
    let store = it.store.clone().lock_wait(Duration::from_millis(30));
    let error = store.register("a", instance("1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(lock);
    store.register("a", instance("1")).await.unwrap();
}

#[tokio::test]
async fn a_change_given_up_while_it_waits_is_not_made() {
    let it = fixture("");
    let lock = fs::File::create(lock::of(&it.path)).unwrap();
    lock.lock().unwrap();
    let change = it.store.register("a", instance("1"));
    let timeout = tokio::time::timeout(Duration::from_millis(20), change).await;
    assert!(timeout.is_err());
    drop(lock);
    it.store.register("a", instance("2")).await.unwrap();
    assert_eq!(it.store.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lock_that_cannot_be_taken_is_named() {
    let it = fixture("");
    fs::create_dir(lock::of(&it.path)).unwrap();
    let error = it.store.register("a", instance("1")).await.unwrap_err();
    assert!(
        error.to_string().contains("registry.json.lock: "),
        "{error}"
    );
    assert!(!it.path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_stays_a_link() {
    let it = fixture(r#"{"templates": {}}"#);
    let link = it.path.with_file_name("link.json");
    std::os::unix::fs::symlink(&it.path, &link).unwrap();
    RegistryStore::new(&link)
        .register("a", instance("1"))
        .await
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(it.store.list().await.unwrap().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_file_that_is_not_there_yet_stays_a_link() {
    use std::os::unix::fs::symlink;

    let it = fixture("");
    let real = it.path.with_file_name("data").join("real.json");
    let (link, second) = (
        it.path.with_file_name("link.json"),
        it.path.with_file_name("second.json"),
    );
    symlink("data/real.json", &second).unwrap();
    symlink(&second, &link).unwrap();
    let store = RegistryStore::new(&link);
    store.register("a", instance("1")).await.unwrap();
    for link in [&link, &second] {
        assert!(fs::symlink_metadata(link).unwrap().is_symlink());
    }
    assert!(fs::symlink_metadata(real).unwrap().is_file());
    assert_eq!(store.list().await.unwrap().len(), 1);
}

/// What makes a registry with one instance `length` bytes long.
fn padded(length: usize) -> String {
    let instance = r#"{"id": "1", "endpoint": "http://10.0.0.1:80"}"#;
    let begin = format!(r#"{{"templates": {{"a": {{"instances": [{instance}]}}}}, "kept": ""#);
    let kept = "x".repeat(length - begin.len() - 2);
    format!("{begin}{kept}\"}}")
}

#[tokio::test]
async fn a_file_never_grows_beyond_what_is_read() {
    let text = padded(MAX_FILE_BYTES as usize - 10);
    let it = fixture(&text);
    let error = it.store.register("a", instance("2")).await.unwrap_err();
    assert!(error.to_string().contains("would be longer"), "{error}");
    assert!(fs::read_to_string(&it.path).unwrap() == text);
    assert!(!beside(&it.path, ".new").exists());
    assert_eq!(it.store.list().await.unwrap().len(), 1);
    it.store.deregister("a", "1").await.unwrap();
    assert!(it.store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn tasks_of_one_process_take_turns() {
    let it = fixture("");
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = it.store.clone();
            tokio::spawn(async move { store.register("a", instance(&n.to_string())).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(it.store.list().await.unwrap().len(), 20);
}

#[tokio::test]
async fn the_mark_at_the_beginning_stays() {
    let it = fixture("\u{feff}{\"templates\": {}}");
    it.store.register("a", instance("1")).await.unwrap();
    assert!(
        fs::read_to_string(&it.path)
            .unwrap()
            .starts_with("\u{feff}{")
    );
    assert_eq!(it.store.list().await.unwrap().len(), 1);
}
