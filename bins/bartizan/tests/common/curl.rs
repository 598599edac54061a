use serde_json::Value;
use tokio::process::Command;

/// What curl got.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// As curl writes it: `HTTP/1.1` or `HTTP/2`.
    pub(crate) version: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// Reads heads until one is final, and what comes after it as the body.
    fn read(output: &str) -> Option<Self> {
        let (head, rest) = output.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (version, status) = (words.next()?, words.next()?.parse().ok()?);
        if status < 200 {
            return Self::read(rest);
        }
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            status,
            version: version.to_owned(),
            headers: headers.collect(),
            body: rest.to_owned(),
        })
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(it, value)| (it == name).then_some(value.as_str()))
    }

    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_str(&self.body);
        json.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error.
    pub(crate) fn message(&self) -> String {
        let json = self.json();
        let message = json["error"]["message"].as_str();
        message.unwrap_or_else(|| panic!("{json}")).to_owned()
    }
}

/// Runs curl, which must get an answer.
pub(crate) async fn curl(arguments: &[&str]) -> Reply {
    let reply = try_curl(arguments).await;
    reply.unwrap_or_else(|error| panic!("curl {arguments:?}: {error}"))
}

/// Runs curl; what it complains of if it gets no answer.
pub(crate) async fn try_curl(arguments: &[&str]) -> Result<Reply, String> {
    let mut command = Command::new("curl");
    // Nobody's own settings, no proxy, and no call that waits for ever.
    command.args(["--disable", "--noproxy", "*", "--max-time", "20"]);
    command.args(["--silent", "--show-error", "--include"]);
    let output = command.args(arguments).kill_on_drop(true).output().await;
    let output = output.expect("curl, which these tests need");
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(complaint.into_owned());
    }
    Reply::read(&text).ok_or_else(|| format!("no answer in {text:?}"))
}
