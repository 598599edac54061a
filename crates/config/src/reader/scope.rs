use crate::Variable;

/// Whose variables are read: the gateway's or a service's.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// What messages begin with.
    label: String,
    /// What `<NAME>` stands for.
    prefix: String,
}

impl Scope {
    pub(crate) fn gateway() -> Self {
        Self {
            label: String::new(),
            prefix: String::new(),
        }
    }

    pub(crate) fn service(name: &str) -> Self {
        let capital = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        Self {
            label: format!("Service {name}: "),
            prefix: name.chars().map(capital).collect(),
        }
    }

    /// The variable's full name in this scope.
    pub(crate) fn name(&self, variable: &Variable) -> String {
        variable.name.replace("<NAME>", &self.prefix)
    }

    /// `Service X: ` and this text.
    pub(crate) fn message(&self, text: &str) -> String {
        format!("{}{text}", self.label)
    }

    /// The part of a service's variables that is its name.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
