use std::{env, fs::File, process::Command};

const LIMIT: usize = 64;

/// Runs the only test of a binary where no more than 64 files may be open.
///
/// The binary is run again in a process with that limit; there, `test` does the work.
///
/// # Panics
///
/// When the test fails.
pub fn with_few_files(test: impl Future<Output = ()>) {
    let has_many = {
        let files = std::iter::from_fn(|| File::open("/dev/null").ok());
        let files: Vec<_> = files.take(2 * LIMIT).collect();
        files.len() == 2 * LIMIT
    };
    if !has_many {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().expect("a runtime");
        return runtime.block_on(test);
    }
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\"")])
        .arg(env::current_exe().expect("a binary"))
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}
