use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{super::reading::content, *};
use crate::Snapshot;

struct Fixture {
    directory: tempfile::TempDir,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.yaml");
    Fixture { directory, path }
}

fn servers(list: &[(&str, &str)]) -> String {
    let mut text = String::from("servers:\n");
    for (namespace, name) in list {
        text.push_str(&format!(
            "- {{namespace: {namespace}, name: {name}, port: 80}}\n"
        ));
    }
    text
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.instances.iter().map(|it| &**it.id()).collect()
}

impl Fixture {
    fn write(&self, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }

    /// A source that only polls, by the paused clock.
    fn polled(&self) -> RegistryFile {
        let builder = RegistryFile::builder(&self.path, Format::Yaml).watched(false);
        builder.clock(Clock::tokio()).spawn().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_finds_what_has_changed() {
    let it = fixture();
    it.write(&servers(&[("a", "one"), ("b", "two")]));
    let file = it.polled();
    let mut a = file.service("a");
    assert!(a.current().stale && a.current().instances.is_empty());
    assert_eq!(ids(&a.changed().await.unwrap()), ["http://one:80"]);
    let start = Clock::tokio().now();
    it.write(&servers(&[("a", "one"), ("a", "three"), ("b", "two")]));
    let b = file.service("b").current();
    assert_eq!(
        ids(&a.changed().await.unwrap()),
        ["http://one:80", "http://three:80"]
    );
    let waited = Clock::tokio().now() - start;
    assert!(
        waited >= Duration::from_secs(59) && waited <= Duration::from_secs(61),
        "{waited:?}"
    );
    assert_eq!(file.service("b").current(), b);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_keeps_the_last_good_set_and_says_where() {
    let it = fixture();
    it.write(&servers(&[("a", "one")]));
    let file = it.polled();
    let mut a = file.service("a");
    a.changed().await.unwrap();
    for (text, place) in [
        ("servers:\n- {namespace: a\n", "line "),
        (
            "servers:\n- {namespace: a, name: one, port: x}\n",
            "line 2, column 35: ",
        ),
        ("", "the file is empty"),
    ] {
        it.write(text);
        let error = file.reload().await.unwrap_err();
        assert!(error.starts_with(it.path.to_str().unwrap()), "{error}");
        assert!(error.contains(place), "{error}");
        let snapshot = a.current();
        assert!(snapshot.stale);
        assert_eq!(snapshot.error, Some(error));
        assert_eq!(ids(&snapshot), ["http://one:80"]);
        assert_eq!(file.current().registry.services.len(), 1);
    }
    fs::remove_file(&it.path).unwrap();
    assert!(file.reload().await.unwrap_err().ends_with("no such file"));
    assert_eq!(ids(&a.current()), ["http://one:80"]);
    it.write(&servers(&[("a", "one")]));
    file.reload().await.unwrap();
    assert!(!a.current().stale && a.current().error.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_file_is_gone() {
    let it = fixture();
    it.write(&servers(&[("a", "one"), ("b", "two")]));
    let file = it.polled();
    file.reload().await.unwrap();
    let a = file.service("a");
    assert_eq!(ids(&a.current()), ["http://one:80"]);
    it.write(&servers(&[("b", "two")]));
    file.reload().await.unwrap();
    assert!(a.current().instances.is_empty() && !a.current().stale);
    assert!(file.service("c").current().instances.is_empty());
    it.write("servers: []\n");
    assert_eq!(file.reload().await.unwrap().registry.instance_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn unchanged_content_wakes_nobody() {
    let it = fixture();
    it.write(&servers(&[("a", "one")]));
    let file = it.polled();
    let before = file.reload().await.unwrap();
    let version = file.service("a").current().version;
    it.write(&servers(&[("a", "one")]));
    let after = file.reload().await.unwrap();
    assert_eq!(before.version, after.version);
    assert!(Arc::ptr_eq(&before.registry, &after.registry));
    it.write(&format!("# a comment\n{}", servers(&[("a", "one")])));
    file.reload().await.unwrap();
    assert_eq!(file.service("a").current().version, version);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_never_there_may_be_empty_but_not_one_that_is_gone() {
    let it = fixture();
    assert!(it.polled().reload().await.is_err());
    let builder = RegistryFile::builder(&it.path, Format::Yaml).watched(false);
    let file = builder.may_be_missing(true).spawn().unwrap();
    assert_eq!(file.reload().await.unwrap().registry.services.len(), 0);
    it.write(&servers(&[("a", "one")]));
    file.reload().await.unwrap();
    fs::remove_file(&it.path).unwrap();
    file.reload().await.unwrap_err();
    assert_eq!(ids(&file.service("a").current()), ["http://one:80"]);
    assert!(file.service("a").current().stale);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_source_stops_it() {
    let it = fixture();
    it.write(&servers(&[("a", "one")]));
    let file = it.polled();
    file.reload().await.unwrap();
    let (mut a, mut all) = (file.service("a"), file.watch());
    drop(file);
    assert_eq!(a.changed().await, None);
    assert_eq!(all.changed().await, None);
    assert_eq!(ids(&a.current()), ["http://one:80"]);
}

/// Much longer than any of these tests waits, so that only a change can wake them.
const NEVER: Duration = Duration::from_secs(3_600);

/// What only an operating system in trouble exceeds.
const SOON: Duration = Duration::from_secs(20);

async fn told(a: &mut Watch, expected: &[&str]) {
    let change = async {
        while ids(&a.current()) != expected {
            a.changed().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, change)
        .await
        .expect("the change was not noticed");
}

/// A source that hears of changes, or never learns of them.
fn heard(path: &Path) -> RegistryFile {
    let builder = RegistryFile::builder(path, Format::Yaml).interval(NEVER);
    builder.spawn().unwrap()
}

#[tokio::test]
async fn a_change_is_noticed_before_the_next_poll() {
    let it = fixture();
    it.write(&servers(&[("a", "one")]));
    let file = heard(&it.path);
    let mut a = file.service("a");
    told(&mut a, &["http://one:80"]).await;
    // By rename, in place, after its removal, and through a link to another directory.
    it.write(&servers(&[("a", "two")]));
    told(&mut a, &["http://two:80"]).await;
    fs::write(&it.path, servers(&[("a", "three")])).unwrap();
    told(&mut a, &["http://three:80"]).await;
    fs::remove_file(&it.path).unwrap();
    fs::write(&it.path, servers(&[("a", "four")])).unwrap();
    told(&mut a, &["http://four:80"]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_mounted_config_map_is_noticed_when_it_is_switched() {
    let it = fixture();
    let version = |name: &str, text: &str| {
        let directory = it.directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("registry.yaml"), text).unwrap();
        let link = it.directory.path().join("..new");
        std::os::unix::fs::symlink(name, &link).unwrap();
        fs::rename(&link, it.directory.path().join("..data")).unwrap();
    };
    version("..v1", &servers(&[("a", "one")]));
    std::os::unix::fs::symlink("..data/registry.yaml", &it.path).unwrap();
    let file = heard(&it.path);
    let mut a = file.service("a");
    told(&mut a, &["http://one:80"]).await;
    version("..v2", &servers(&[("a", "two")]));
    told(&mut a, &["http://two:80"]).await;
    version("..v3", &servers(&[("a", "three")]));
    told(&mut a, &["http://three:80"]).await;
}

#[tokio::test]
async fn reading_the_file_is_no_change_of_it() {
    let it = fixture();
    it.write(&servers(&[("a", "one")]));
    let changes = Changes::watch(&it.path).unwrap();
    for _ in 0..10 {
        content(&it.path).unwrap();
    }
    fs::write(it.directory.path().join("another"), "x").unwrap();
    let quiet = tokio::time::timeout(SETTLE * 4, changes.next()).await;
    assert!(quiet.is_err());
    it.write("x");
    tokio::time::timeout(SOON, changes.next()).await.unwrap();
}

/// Where the operating system tells that a file was closed. On a machine that is too busy for
/// pauses of the writer to be short, another attempt is made.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn half_of_a_file_that_is_being_written_does_not_count() {
    use std::io::Write;

    for _ in 0..5 {
        let it = fixture();
        let before = servers(&[("a", "one"), ("a", "two")]);
        it.write(&before);
        let file = heard(&it.path);
        file.reload().await.unwrap();
        let mut a = file.service("a");
        let start = Clock::default().now();
        let mut writer = fs::File::create(&it.path).unwrap();
        let after = servers(&[("a", "one"), ("a", "three")]);
        let (half, rest) = after.split_at(servers(&[("a", "one")]).len());
        writer.write_all(half.as_bytes()).unwrap();
        tokio::time::sleep(SETTLE * 4).await;
        let meanwhile = a.current();
        writer.write_all(rest.as_bytes()).unwrap();
        drop(writer);
        if Clock::default().now() - start >= SETTLE_AT_MOST {
            continue;
        }
        assert_eq!(ids(&meanwhile), ["http://one:80", "http://two:80"]);
        assert!(!meanwhile.stale);
        return told(&mut a, &["http://one:80", "http://three:80"]).await;
    }
    panic!("five writers took longer than is waited for one");
}

/// As above, on a busy machine another attempt is made.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_writer_that_never_closes_is_waited_for_once() {
    use std::io::Write;

    for _ in 0..5 {
        let it = fixture();
        it.write(&servers(&[("a", "one")]));
        let file = heard(&it.path);
        file.reload().await.unwrap();
        let mut a = file.service("a");
        let start = Clock::default().now();
        let mut writer = fs::File::create(&it.path).unwrap();
        let after = servers(&[("a", "two")]);
        writer.write_all(after.as_bytes()).unwrap();
        told(&mut a, &["http://two:80"]).await;
        let waited = Clock::default().now() - start;
        assert!(waited >= SETTLE_AT_MOST, "{waited:?}");
        if waited < SETTLE_AT_MOST * 2 {
            return;
        }
    }
    panic!("five writers were waited for longer than is said");
}

#[tokio::test]
async fn a_directory_that_is_made_later_is_noticed() {
    let it = fixture();
    let path = it.directory.path().join("later").join("registry.yaml");
    let file = heard(&path);
    let mut a = file.service("a");
    file.reload().await.unwrap_err();
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, servers(&[("a", "one")])).unwrap();
    told(&mut a, &["http://one:80"]).await;
}

#[tokio::test]
async fn a_directory_that_is_swapped_is_noticed() {
    let it = fixture();
    let at = |name: &str| it.directory.path().join(name);
    let version = |name: &str, server: &str| {
        fs::create_dir(at(name)).unwrap();
        let path = at(name).join("registry.yaml");
        fs::write(path, servers(&[("a", server)])).unwrap();
    };
    version("now", "one");
    let file = heard(&at("now").join("registry.yaml"));
    let mut a = file.service("a");
    told(&mut a, &["http://one:80"]).await;
    for (old, server) in [("old", "two"), ("older", "three")] {
        version("next", server);
        fs::rename(at("now"), at(old)).unwrap();
        fs::rename(at("next"), at("now")).unwrap();
        told(&mut a, &[&format!("http://{server}:80")]).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_to_where_they_are_turned() {
    use std::os::unix::fs::symlink;

    let it = fixture();
    let at = |name: &str| it.directory.path().join(name);
    let write = |release: &str, server: &str| {
        fs::create_dir_all(at(release)).unwrap();
        let path = at(release).join("registry.yaml");
        fs::write(path, servers(&[("a", server)])).unwrap();
    };
    let turn = |link: &str, target: &str| {
        symlink(target, at("turning")).unwrap();
        fs::rename(at("turning"), at(link)).unwrap();
    };
    write("releases/1", "one");
    // Of its directory, and of the file itself.
    for (link, rest) in [("current", "/registry.yaml"), ("registry.yaml", "")] {
        let ending = if rest.is_empty() {
            "/registry.yaml"
        } else {
            ""
        };
        write("releases/2", "two");
        turn(link, &format!("releases/1{ending}"));
        let file = heard(&at(&format!("{link}{rest}")));
        let mut a = file.service("a");
        told(&mut a, &["http://one:80"]).await;
        turn(link, &format!("./releases/1/../2{ending}"));
        told(&mut a, &["http://two:80"]).await;
        write("releases/2", "three");
        told(&mut a, &["http://three:80"]).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_itself_is_followed_to_an_end() {
    let it = fixture();
    std::os::unix::fs::symlink("registry.yaml", &it.path).unwrap();
    let file = heard(&it.path);
    let mut a = file.service("a");
    file.reload().await.unwrap_err();
    it.write(&servers(&[("a", "one")]));
    told(&mut a, &["http://one:80"]).await;
}

#[tokio::test]
async fn nonsense_is_refused() {
    let builder = RegistryFile::builder("x", Format::Yaml).interval(Duration::ZERO);
    assert_eq!(
        builder.spawn().unwrap_err(),
        InvalidRegistryFile::ZeroInterval
    );
    let it = fixture();
    let file = RegistryFile::builder(it.directory.path(), Format::Yaml)
        .spawn()
        .unwrap();
    assert!(file.reload().await.unwrap_err().contains("not a file"));
    fs::write(&it.path, b"servers:\n- \xff").unwrap();
    let file = it.polled();
    let error = file.reload().await.unwrap_err();
    assert!(error.ends_with("line 2, column 3: not UTF-8"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_loaded_source_begins_with_the_file_or_not_at_all() {
    let it = fixture();
    let builder = || RegistryFile::builder(&it.path, Format::Yaml).clock(Clock::tokio());
    let missing = builder().spawn_loaded().unwrap_err().to_string();
    assert!(
        missing.ends_with("registry.yaml: no such file"),
        "{missing}"
    );
    assert!(builder().may_be_missing(true).spawn_loaded().is_ok());
    it.write("servers:\n- {namespace: a}\n");
    let wrong = builder().may_be_missing(true).spawn_loaded();
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("line 2"), "{wrong}");
    it.write(&servers(&[("a", "one")]));
    let file = builder().spawn_loaded().unwrap();
    assert_eq!(ids(&file.service("a").current()), ["http://one:80"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_reads_stays_as_it_is() {
    let registry = Registry::from_yaml(&servers(&[("a", "one")])).unwrap();
    let file = RegistryFile::fixed(Arc::new(registry));
    let current = file.current();
    assert!(!current.stale && current.error.is_none());
    assert_eq!(ids(&file.service("a").current()), ["http://one:80"]);
    assert!(file.service("b").current().instances.is_empty());
    assert_eq!(file.reload().await.unwrap(), current);
    let mut watch = file.watch();
    let changed = tokio::time::timeout(Duration::from_secs(3600), watch.changed());
    assert!(changed.await.is_err(), "nothing comes, and it does not end");
}
