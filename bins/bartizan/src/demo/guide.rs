use std::{fmt, net::SocketAddr};

use super::{OUTAGE, TOKEN_LIFETIME};

/// What the demo prints: what runs, and what to try in another terminal.
///
/// Commands are indented by three spaces and can be pasted as they are. What to look for in
/// their output stands in backticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guide {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// The port that was asked for, if another program has it.
    pub(crate) taken: Option<u16>,
    /// Whether to use colours, which are for terminals only.
    pub(crate) colours: bool,
}

/// Something to try.
struct Step {
    title: &'static str,
    commands: Vec<String>,
    /// What comes of it, with what to look for in backticks.
    outcome: [&'static str; 2],
}

const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

impl Guide {
    fn steps(&self) -> [Step; 6] {
        let item = self.call("inventory", "getItem", r#"{"sku":"lamp"}"#);
        let forecast = self.call("weather", "getForecast", r#"{"city":"Oslo"}"#);
        let charge = self.call("payments", "charge", r#"{"amount":12.5}"#);
        let sing = self.call("phoenix", "sing", "{}");
        let breaker = self.fetch("/mcp/services/phoenix/metrics");
        [
            Step {
                title: "A call",
                commands: vec![item],
                outcome: [
                    "The envelope says `\"success\":true` and `\"retryCount\":0`;",
                    "its data is what the backend said: `\"name\":\"Desk lamp\"`.",
                ],
            },
            Step {
                title: "A retry",
                commands: vec![format!("for i in 1 2 3; do {forecast}; done")],
                outcome: [
                    "Three forecasts, although weather failed one of the calls:",
                    "the gateway repeated it, which shows as `\"retryCount\":1`.",
                ],
            },
            Step {
                title: "A token that expires",
                commands: vec![
                    charge.clone(),
                    format!("sleep {}", TOKEN_LIFETIME.as_secs() + 1),
                    charge,
                ],
                outcome: [
                    "Two receipts. Payments saw `\"token\":1` and after it expired `\"token\":2`,",
                    "by which it means the first and the second that the gateway fetched.",
                ],
            },
            Step {
                title: "A breaker that opens",
                commands: vec![
                    self.call("phoenix", "die", "{}"),
                    format!("for i in 1 2 3; do {sing}; done"),
                    breaker.clone(),
                ],
                outcome: [
                    "One call fails after three attempts, the next ones at once and without any:",
                    "`Circuit breaker open for service phoenix`. Its state is `\"OPEN\"`.",
                ],
            },
            Step {
                title: "A breaker that heals",
                commands: vec![format!("sleep {}", OUTAGE.as_secs() + 1), sing, breaker],
                outcome: [
                    "Phoenix sings again, `\"song\":\"la\"`, in its `\"life\":2`;",
                    "one good call has closed the breaker: `\"state\":\"CLOSED\"`.",
                ],
            },
            Step {
                title: "What the gateway counted",
                commands: vec![format!(
                    "curl -s http://{}/metrics | grep -E 'retries_total\\{{|\"open\"'",
                    self.address
                )],
                outcome: [
                    "For Prometheus: weather's retry, `{service=\"weather\"} 1`, and the circuit",
                    "that opened once, `{service=\"phoenix\",to=\"open\"} 1`.",
                ],
            },
        ]
    }

    fn call(&self, service: &str, operation: &str, parameters: &str) -> String {
        let call = format!(
            r#"{{"service":"{service}","operation":"{operation}","parameters":{parameters}}}"#
        );
        let post = self.fetch("/mcp/request");
        format!("{post} -H content-type:application/json -d '{call}'")
    }

    /// A request whose output ends with a line feed.
    fn fetch(&self, path: &str) -> String {
        format!("curl -sw '\\n' http://{}{path}", self.address)
    }

    fn backends() -> [(&'static str, String); 4] {
        let (lifetime, outage) = (TOKEN_LIFETIME.as_secs(), OUTAGE.as_secs());
        [
            ("inventory", "is well".to_owned()),
            ("weather", "fails every third call".to_owned()),
            (
                "payments",
                format!("wants OAuth2 tokens, which live {lifetime} s"),
            ),
            (
                "phoenix",
                format!("dies when it is told to, and is back after {outage} s"),
            ),
        ]
    }
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colours = [BOLD, CYAN, DIM, YELLOW, PLAIN];
        let [bold, cyan, dim, yellow, plain] = if self.colours { colours } else { [""; 5] };
        if let Some(port) = self.taken {
            writeln!(
                f,
                "{yellow}Port {port} is taken, so the demo uses another.{plain}\n"
            )?;
        }
        let address = self.address;
        writeln!(
            f,
            "{bold}Bartizan listens on http://{address}{plain}, before four backends:\n"
        )?;
        for (name, nature) in Self::backends() {
            writeln!(f, "   {name:<10} {dim}{nature}{plain}")?;
        }
        writeln!(f, "\nPaste these into another terminal, in this order.")?;
        for (number, step) in (1..).zip(self.steps()) {
            writeln!(f, "\n{bold}{number}. {}{plain}\n", step.title)?;
            for command in step.commands {
                writeln!(f, "   {cyan}{command}{plain}")?;
            }
            writeln!(f)?;
            for line in step.outcome {
                writeln!(f, "{dim}{line}{plain}")?;
            }
        }
        writeln!(
            f,
            "\nIn a browser, http://{address}/docs shows everything there is to call."
        )?;
        write!(f, "\nCtrl-C here stops everything.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide(colours: bool, taken: Option<u16>) -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], 4711));
        let guide = Guide {
            address,
            taken,
            colours,
        };
        guide.to_string()
    }

    #[test]
    fn colours_are_only_there_when_wanted() {
        assert!(!guide(false, Some(8080)).contains('\x1b'));
        let coloured = guide(true, Some(8080));
        let mut uncoloured = coloured.clone();
        for code in [BOLD, CYAN, DIM, YELLOW, PLAIN] {
            assert!(coloured.contains(code));
            uncoloured = uncoloured.replace(code, "");
        }
        assert_eq!(uncoloured, guide(false, Some(8080)));
    }

    #[test]
    fn commands_use_the_actual_port_and_a_taken_one_is_told() {
        let text = guide(false, None);
        let commands: Vec<_> = text.lines().filter(|line| line.contains("curl ")).collect();
        assert_eq!(commands.len(), 10);
        let here = "http://127.0.0.1:4711/";
        assert!(commands.iter().all(|command| command.contains(here)));
        assert!(!text.contains("8080"));
        assert!(guide(false, Some(8080)).starts_with("Port 8080 is taken"));
    }

    #[test]
    fn bodies_are_json_that_a_shell_leaves_alone() {
        let text = guide(false, None);
        let bodies: Vec<_> = text.split(" -d '").skip(1).collect();
        assert_eq!(bodies.len(), 7);
        for body in bodies {
            let (json, _) = body.split_once('\'').unwrap();
            serde_json::from_str::<serde_json::Value>(json).unwrap();
        }
    }
}
