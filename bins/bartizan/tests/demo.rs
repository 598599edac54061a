//! Runs `bartizan demo` and does what it tells people to do, with the very lines it prints.
//!
//! Needs `sh`, `curl`, `grep` and `kill`, and fails where one is missing.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use bartizan_clock::Clock;
use tempfile::TempDir;

/// How long the demo may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn every_line_does_what_the_guide_promises() {
    let demo = Demo::start(0);
    let outputs: Vec<_> = demo.steps.iter().map(|step| demo.run(step)).collect();

    for (step, output) in demo.steps.iter().zip(&outputs) {
        assert!(!step.promises.is_empty(), "{} promises nothing", step.title);
        for promise in &step.promises {
            assert!(
                output.contains(promise),
                "{}: no {promise} in\n{output}",
                step.title
            );
        }
    }
    // What the guide is for; it must not come to promise less.
    let promised = [
        ("A call", r#""success":true"#),
        ("A retry", r#""retryCount":1"#),
        ("A token that expires", r#""token":2"#),
        (
            "A breaker that opens",
            "Circuit breaker open for service phoenix",
        ),
        ("A breaker that heals", r#""CLOSED""#),
        ("What the gateway counted", r#"to="open"} 1"#),
    ];
    assert_eq!(demo.steps.len(), promised.len());
    for (step, (title, promise)) in demo.steps.iter().zip(promised) {
        assert_eq!(step.title, title);
        assert!(
            step.promises.iter().any(|p| p.contains(promise)),
            "{title}: {promise}"
        );
    }
    let [call, retry, token, opens, heals, _] = &outputs[..] else {
        unreachable!("there are six");
    };
    let successes = |output: &str| output.matches(r#""success":true"#).count();
    assert_eq!(
        [call, retry, token, opens, heals].map(|it| successes(it)),
        [1, 3, 2, 1, 1]
    );
    assert_eq!(opens.matches("Circuit breaker open").count(), 2, "{opens}");

    let backend = call.split(r#""serviceEndpoint":"http://"#).nth(1).unwrap();
    let backend: SocketAddr = backend.split('"').next().unwrap().parse().unwrap();
    let gateway = demo.gateway();
    for address in [backend, gateway] {
        TcpStream::connect(address).unwrap();
    }
    demo.interrupt();
    for address in [backend, gateway] {
        assert!(
            TcpStream::connect(address).is_err(),
            "{address} still listens"
        );
    }
}

#[test]
fn a_taken_port_is_told_and_replaced() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let demo = Demo::start(port);
    let told = format!("Port {port} is taken, so the demo uses another.");
    assert_eq!(demo.lines.first(), Some(&told));
    assert_ne!(demo.gateway().port(), port);
    assert!(demo.run(&demo.steps[0]).contains("Desk lamp"));
    demo.interrupt();
}

/// A running demo and what it printed. Ends with the test, however that ends.
struct Demo {
    child: Child,
    lines: Vec<String>,
    steps: Vec<Step>,
    /// Holds the log of the demo and the configuration of curl.
    directory: TempDir,
}

#[derive(Default)]
struct Step {
    title: String,
    commands: Vec<String>,
    /// What to look for in their output: all that stands in backticks.
    promises: Vec<String>,
}

impl Demo {
    /// Starts a demo on `port` and reads its guide.
    fn start(port: u16) -> Self {
        let directory = TempDir::new().unwrap();
        // Nobody's own settings for curl, and no line that waits for ever.
        std::fs::write(
            directory.path().join(".curlrc"),
            "max-time = 10\nnoproxy = \"*\"\n",
        )
        .unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["demo", "--port", &port.to_string()])
            // The demo configures itself, whatever the environment says.
            .env("MCP_SERVICES", "not-a-service-of-the-demo")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut demo = Self {
            child,
            lines: Vec::new(),
            steps: Vec::new(),
            directory,
        };
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the demo never blocks on a full pipe.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        while demo
            .lines
            .last()
            .is_none_or(|line| !line.starts_with("Ctrl-C"))
        {
            let line = receiver.recv_timeout(PATIENCE);
            demo.lines
                .push(line.expect("the demo prints its guide to the end"));
        }
        demo.steps = parse(&demo.lines);
        demo
    }

    /// Where the guide says that the gateway is.
    fn gateway(&self) -> SocketAddr {
        let command = &self.steps[0].commands[0];
        let address = command.split("http://").nth(1).unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }

    /// Runs the commands of a step as if they were pasted together; what they printed.
    fn run(&self, step: &Step) -> String {
        let output = Command::new("sh")
            .args(["-c", &step.commands.join("\n")])
            .env("CURL_HOME", self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && errors.is_empty(),
            "{}: {errors}",
            step.title
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses Ctrl-C and waits for the end, which must be a good one.
    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let (clock, step) = (Clock::default(), Duration::from_millis(20));
        let deadline = clock.now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(clock.now() < deadline, "the demo does not stop");
            thread::park_timeout(step);
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Demo {
    #[allow(clippy::print_stderr, reason = "tells why a test failed")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("{}\n{}", self.lines.join("\n"), log.unwrap_or_default());
        }
    }
}

/// The numbered steps of a guide: commands are indented, promises stand in backticks.
fn parse(lines: &[String]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        let numbered = line
            .split_once(". ")
            .filter(|(number, _)| number.parse::<u8>().is_ok());
        if let Some((_, title)) = numbered {
            steps.push(Step {
                title: title.to_owned(),
                ..Step::default()
            });
        } else if let Some(step) = steps.last_mut() {
            if let Some(command) = line.strip_prefix("   ") {
                step.commands.push(command.to_owned());
            } else {
                let promises = line.split('`').skip(1).step_by(2).map(str::to_owned);
                step.promises.extend(promises);
            }
        }
    }
    steps
}
