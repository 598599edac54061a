//! Values that are one of a few words.

/// Defines an enum whose variants have a word each.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The words, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for this variant.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::value::Value for $name {
            fn parse(
                variable: &$crate::Variable,
                text: &str,
            ) -> Result<Self, $crate::value::Fault> {
                // Capitals and underscores do no harm: `ROUND_ROBIN` is what others write.
                match text.to_ascii_lowercase().replace('_', "-").as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::value::Fault::of_choice(variable, Self::WORDS)),
                }
            }
        }
    };
}

choice! {
    /// How the delay grows from one retry to the next.
    pub enum BackoffStrategy {
        /// The initial delay times the number of the retry.
        Linear = "linear",
        /// The initial delay, doubled with every retry.
        Exponential = "exponential",
    }
}

choice! {
    /// How an endpoint is chosen among several.
    pub enum Strategy {
        /// One after the other.
        RoundRobin = "round-robin",
        /// One after the other, each as often as its weight says.
        Weighted = "weighted",
        /// The one with the fewest calls in flight.
        LeastConnections = "least-connections",
        /// One of those that fail least.
        HealthBased = "health-based",
        /// Any, at random.
        Random = "random",
        /// The better of two at random, by calls in flight.
        P2c = "p2c",
        /// The better of two at random, by latency and calls in flight.
        P2cEwma = "p2c-ewma",
        /// Always the same one for calls of one agent, or of one correlation if no agent is named.
        ConsistentHash = "consistent-hash",
    }
}

choice! {
    /// How the gateway proves itself to a service.
    pub enum AuthType {
        /// Not at all.
        None = "none",
        /// With a fixed bearer token.
        Bearer = "bearer",
        /// With a key.
        ApiKey = "api-key",
        /// With a user name and a password.
        Basic = "basic",
        /// With an OAuth2 access token, renewed if there is a token endpoint.
        OAuth2 = "oauth2",
        /// With an OAuth2 access token from whoever the service says can issue one.
        Authorize = "authorize",
    }
}

choice! {
    /// For whom the gateway asks for authorization.
    pub enum AuthorizeGrant {
        /// A user, who is sent to the authorization server.
        AuthorizationCode = "authorization-code",
        /// The gateway itself.
        ClientCredentials = "client-credentials",
        /// Whoever an identity provider says that the gateway is or acts for.
        JwtBearer = "jwt-bearer",
    }
}

choice! {
    /// How a private key signs.
    pub enum KeyAlgorithm {
        /// ECDSA with P-256.
        Es256 = "es256",
        /// ECDSA with P-384.
        Es384 = "es384",
        /// Ed25519.
        EdDsa = "eddsa",
        /// RSA with PKCS #1 padding.
        Rs256 = "rs256",
        /// RSA with PSS padding.
        Ps256 = "ps256",
    }
}

choice! {
    /// Where in a request an API key goes.
    pub enum ApiKeyPlace {
        /// A header.
        Header = "header",
        /// A parameter of the query.
        Query = "query",
        /// A cookie.
        Cookie = "cookie",
    }
}

choice! {
    /// What a new access token is asked for on the strength of.
    pub enum OAuth2Grant {
        /// Nothing: the access token is the one that was configured.
        Static = "static",
        /// The refresh token.
        RefreshToken = "refresh-token",
        /// The client's own credentials.
        ClientCredentials = "client-credentials",
    }
}

choice! {
    /// How the client proves itself to the token endpoint.
    pub enum ClientAuthentication {
        /// In an `Authorization: Basic` header.
        Basic = "basic",
        /// In the form.
        Body = "body",
    }
}

choice! {
    /// How an MCP server is reached.
    pub enum McpTransport {
        /// Streamable HTTP, of 2025-03-26 and every later revision.
        StreamableHttp = "streamable-http",
        /// HTTP+SSE, of 2024-11-05.
        Sse = "sse",
        /// A process of this machine, over its standard input and output.
        Stdio = "stdio",
    }
}

choice! {
    /// The form of log lines.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// How the instances of a service are found.
    pub enum Discovery {
        /// They are listed.
        Static = "static",
        /// They are the addresses of a name.
        Dns = "dns",
        /// They are the SRV records of a name.
        Srv = "srv",
        /// They are the endpoints of a Service of Kubernetes.
        Kubernetes = "kubernetes",
        /// They are containers with a label.
        Docker = "docker",
    }
}

choice! {
    /// What `GET /health` says, where two documented gateways say different things.
    pub enum Dialect {
        /// What both say: how many backends are well, and the name of the gateway.
        Both = "both",
        /// How many backends are well.
        Backends = "000",
        /// That the gateway is there, and its name.
        App = "004",
    }
}
