//! Rules, and what they give a caller.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pattern::{Pattern, PatternError};
use crate::call::{Call, Needs, Thing};
use crate::caller::Caller;

/// What a rule's `methods` cannot decide, and the key that does.
const DECIDED_ELSEWHERE: [(&str, &str); 7] = [
    ("completion/complete", "prompts` or `resources"),
    ("prompts/get", "prompts"),
    ("resources/directory/read", "resources"),
    ("resources/read", "resources"),
    ("resources/subscribe", "resources"),
    ("resources/unsubscribe", "resources"),
    ("tools/call", "tools"),
];

/// Allows some clients some things of some servers. In every pattern `*` stands for any characters but `/`, and `**` for
/// any characters.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Rule {
    /// Patterns of principals, of which one has to match. A client without a principal matches none. Without the key any
    /// client matches; then `attributes` are required.
    pub principals: Option<Vec<String>>,
    /// For each attribute patterns, of which one has to match one of the client's values of it.
    #[serde(default)]
    pub attributes: BTreeMap<String, OneOrMore>,
    /// Patterns of servers. The built-in one is `portcullis`.
    pub servers: Vec<String>,
    /// Patterns of methods, but for those that the other keys decide.
    pub methods: Option<Vec<String>>,
    /// Patterns of tools.
    pub tools: Option<Vec<String>>,
    /// Patterns of the URIs of resources. A template is shown if its own text matches.
    pub resources: Option<Vec<String>>,
    /// Patterns of prompts.
    pub prompts: Option<Vec<String>>,
}

/// One pattern, or several of which one has to match.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged, expecting = "a pattern, or a list of patterns")]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl Rule {
    /// Whether it gives the whole of its servers, for it lists nothing.
    #[must_use]
    pub fn is_for_everything(&self) -> bool {
        let listed = [&self.methods, &self.tools, &self.resources, &self.prompts];
        listed.iter().all(|key| key.is_none())
    }
}

impl OneOrMore {
    /// The patterns.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
#[non_exhaustive]
pub struct RuleError {
    /// Its place among the rules, from 0.
    pub rule: usize,
    /// The key within the rule.
    pub key: String,
    /// What is wrong with it.
    pub problem: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleProblem {
    /// Neither principals nor attributes.
    #[error(
        "a rule says whom it allows: give `principals` or `attributes`; `principals = [\"**\"]` is every client that has one"
    )]
    Anybody,
    /// Another key decides the method.
    #[error("`{method}` is allowed by `{key}`, not by `methods`")]
    DecidedElsewhere {
        /// The method.
        method: String,
        /// The key that decides it.
        key: &'static str,
    },
    /// A list that cannot match.
    #[error("an empty list matches nothing")]
    EmptyList,
    /// Something is no pattern.
    #[error("`{pattern}`: {reason}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// Why not.
        reason: PatternError,
    },
    /// No server matches.
    #[error("no server matches `{0}`")]
    UnknownServer(String),
}

/// All rules, ready to decide.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Ready>);

#[derive(Debug)]
struct Ready {
    principals: Option<Vec<Pattern>>,
    attributes: Vec<(String, Vec<Pattern>)>,
    servers: Vec<Pattern>,
    gives: Gives,
}

#[derive(Debug)]
pub(crate) enum Gives {
    Everything,
    Some {
        methods: Vec<Pattern>,
        tools: Vec<Pattern>,
        resources: Vec<Pattern>,
        prompts: Vec<Pattern>,
    },
}

/// What a caller may use of one server.
#[derive(Clone, Debug)]
pub(crate) enum Grants<'a> {
    Everything,
    /// By these rules; nothing at all if there are none.
    Some(Vec<&'a Gives>),
}

impl Rules {
    /// Checks the rules against the names of the servers.
    pub(crate) fn new(rules: &[Rule], servers: &[&str]) -> Result<Self, RuleError> {
        let ready = rules.iter().enumerate().map(|(number, rule)| {
            Ready::new(rule, servers).map_err(|(key, problem)| RuleError {
                rule: number,
                key,
                problem,
            })
        });
        ready.collect::<Result<_, _>>().map(Self)
    }

    /// What a caller may use of a server.
    pub(crate) fn grants(&self, caller: &Caller, server: &str) -> Grants<'_> {
        if self.0.is_empty() {
            return Grants::Everything;
        }
        let mut given = Vec::new();
        for rule in self.0.iter().filter(|rule| rule.is_for(caller, server)) {
            match rule.gives {
                Gives::Everything => return Grants::Everything,
                Gives::Some { .. } => given.push(&rule.gives),
            }
        }
        Grants::Some(given)
    }
}

impl Ready {
    fn new(rule: &Rule, servers: &[&str]) -> Result<Self, (String, RuleProblem)> {
        if rule.principals.is_none() && rule.attributes.is_empty() {
            return Err(("principals".to_owned(), RuleProblem::Anybody));
        }
        let attributes = rule.attributes.iter().map(|(name, values)| {
            let key = format!("attributes.{name}");
            Ok((name.clone(), required(&key, values.as_slice())?))
        });
        let ready = Self {
            principals: match &rule.principals {
                Some(principals) => Some(required("principals", principals)?),
                None => None,
            },
            attributes: attributes.collect::<Result<_, _>>()?,
            servers: required("servers", &rule.servers)?,
            gives: Gives::new(rule)?,
        };
        let unknown = |pattern: &&Pattern| !servers.iter().any(|name| pattern.matches(name));
        match ready.servers.iter().find(unknown) {
            Some(pattern) => {
                let problem = RuleProblem::UnknownServer(pattern.as_str().to_owned());
                Err(("servers".to_owned(), problem))
            }
            None => Ok(ready),
        }
    }

    fn is_for(&self, caller: &Caller, server: &str) -> bool {
        let any =
            |patterns: &[Pattern], name: &str| patterns.iter().any(|known| known.matches(name));
        let is_principal = match (&self.principals, &caller.principal) {
            (None, _) => true,
            (Some(patterns), Some(principal)) => any(patterns, principal),
            (Some(_), None) => false,
        };
        let has_attributes = self.attributes.iter().all(|(wanted, patterns)| {
            caller.attributes.iter().any(|(name, value)| name == wanted && any(patterns, value))
        });
        is_principal && has_attributes && any(&self.servers, server)
    }
}

impl Gives {
    fn new(rule: &Rule) -> Result<Self, (String, RuleProblem)> {
        if rule.is_for_everything() {
            return Ok(Self::Everything);
        }
        for method in rule.methods.iter().flatten() {
            let decided = DECIDED_ELSEWHERE.iter().find(|(known, _)| known == method);
            if let Some((_, key)) = decided {
                let problem = RuleProblem::DecidedElsewhere { method: method.clone(), key };
                return Err(("methods".to_owned(), problem));
            }
        }
        Ok(Self::Some {
            methods: patterns("methods", rule.methods.as_deref().unwrap_or_default())?,
            tools: patterns("tools", rule.tools.as_deref().unwrap_or_default())?,
            resources: patterns("resources", rule.resources.as_deref().unwrap_or_default())?,
            prompts: patterns("prompts", rule.prompts.as_deref().unwrap_or_default())?,
        })
    }

    fn allows(&self, thing: &Thing) -> bool {
        let Self::Some { tools, resources, prompts, .. } = self else {
            return true;
        };
        match thing {
            Thing::Prompt(name) => prompts.iter().any(|pattern| pattern.matches(name)),
            Thing::Resource(uri) => resources.iter().any(|pattern| pattern.matches_uri(uri)),
            Thing::Tool(name) => tools.iter().any(|pattern| pattern.matches(name)),
        }
    }

    fn allows_method(&self, method: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Some { methods, .. } => methods.iter().any(|pattern| pattern.matches(method)),
        }
    }
}

impl Grants<'_> {
    /// Whether it is the whole server.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Whether the server may be used at all.
    pub(crate) fn server(&self) -> bool {
        !matches!(self, Self::Some(given) if given.is_empty())
    }

    /// Whether a call may be made.
    pub(crate) fn call(&self, call: &Call) -> bool {
        let Self::Some(given) = self else {
            return true;
        };
        self.server()
            && match &call.needs {
                Needs::Server => true,
                Needs::Method(method) => given.iter().any(|gives| gives.allows_method(method)),
                Needs::Things(things) => {
                    !things.is_empty() && things.iter().all(|thing| self.thing(thing))
                }
            }
    }

    /// Whether something may be used.
    pub(crate) fn thing(&self, thing: &Thing) -> bool {
        match self {
            Self::Everything => true,
            Self::Some(given) => given.iter().any(|gives| gives.allows(thing)),
        }
    }
}

fn required(key: &str, texts: &[String]) -> Result<Vec<Pattern>, (String, RuleProblem)> {
    if texts.is_empty() {
        return Err((key.to_owned(), RuleProblem::EmptyList));
    }
    patterns(key, texts)
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, (String, RuleProblem)> {
    let parsed = texts.iter().map(|text| {
        Pattern::parse(text).map_err(|reason| {
            let problem = RuleProblem::Pattern { pattern: text.clone(), reason };
            (key.to_owned(), problem)
        })
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(toml_like: &[Rule]) -> Rules {
        Rules::new(toml_like, &["portcullis", "time", "files"]).unwrap()
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn rule(principals: &[&str], servers: &[&str]) -> Rule {
        Rule { principals: Some(list(principals)), servers: list(servers), ..Rule::default() }
    }

    fn caller(principal: Option<&str>, attributes: &[(&str, &str)]) -> Caller {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes = attributes.iter().map(owned).collect();
        Caller { attributes, ..Caller::of_principal(principal) }
    }

    fn may(rules: &Rules, caller: &Caller, server: &str, method: &str, params: &str) -> bool {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        rules.grants(caller, server).call(&Call::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn without_rules_everything_is_allowed_and_with_one_only_what_it_allows() {
        let alice = caller(Some("alice"), &[]);
        let call = r#"{"name":"get_time"}"#;
        assert!(may(&Rules::default(), &alice, "time", "tools/call", call));
        let some = rules(&[Rule { tools: Some(list(&["get_*"])), ..rule(&["alice"], &["time"]) }]);
        assert!(may(&some, &alice, "time", "tools/call", call));
        assert!(may(&some, &alice, "time", "initialize", "{}"));
        assert!(may(&some, &alice, "time", "tools/list", "{}"));
        assert!(may(&some, &alice, "time", "notifications/initialized", "{}"));
        for (server, method, params) in [
            ("time", "tools/call", r#"{"name":"set_time"}"#),
            ("time", "tools/call", "{}"),
            ("time", "prompts/get", r#"{"name":"get_time"}"#),
            ("time", "resources/read", r#"{"uri":"get_time"}"#),
            ("time", "logging/setLevel", "{}"),
            ("time", "tasks/get", "{}"),
            ("time", "anything", "{}"),
            ("files", "tools/call", call),
            ("files", "initialize", "{}"),
            ("portcullis", "ping", "{}"),
        ] {
            assert!(!may(&some, &alice, server, method, params), "{server} {method} {params}");
        }
        assert!(!may(&some, &caller(Some("bob"), &[]), "time", "initialize", "{}"));
        assert!(!may(&some, &caller(None, &[]), "time", "initialize", "{}"));
    }

    #[test]
    fn a_rule_that_lists_nothing_gives_the_whole_server() {
        let all = rules(&[rule(&["ops/*"], &["t*"])]);
        let ops = caller(Some("ops/eve"), &[]);
        assert!(all.grants(&ops, "time").is_everything());
        assert!(!all.grants(&ops, "files").server());
        let none = rules(&[Rule { tools: Some(Vec::new()), ..rule(&["ops/*"], &["time"]) }]);
        assert!(!none.grants(&ops, "time").is_everything());
        assert!(none.grants(&ops, "time").server());
    }

    #[test]
    fn every_attribute_has_to_match_and_rules_add_up() {
        let attributes = BTreeMap::from([
            ("team".to_owned(), OneOrMore::More(list(&["blue", "r*"]))),
            ("level".to_owned(), OneOrMore::One("2".to_owned())),
        ]);
        let by_team = Rule {
            attributes,
            servers: list(&["files"]),
            tools: Some(list(&["a"])),
            ..Rule::default()
        };
        let by_name = Rule { prompts: Some(list(&["p"])), ..rule(&["**"], &["files"]) };
        let both = rules(&[by_team, by_name]);
        let grants = |caller: &Caller| {
            let grants = both.grants(caller, "files");
            [Thing::Tool("a".to_owned()), Thing::Prompt("p".to_owned())]
                .map(|thing| grants.thing(&thing))
        };
        let red = [("team", "green"), ("team", "red"), ("level", "2")];
        assert_eq!(grants(&caller(None, &red)), [true, false]);
        assert_eq!(grants(&caller(Some("x"), &red)), [true, true]);
        assert_eq!(grants(&caller(Some("x"), &red[..2])), [false, true]);
    }

    #[test]
    fn a_subscription_needs_every_resource_that_it_names() {
        let public = rules(&[Rule {
            resources: Some(list(&["file:///public/**"])),
            ..rule(&["a"], &["files"])
        }]);
        let a = caller(Some("a"), &[]);
        let listen = |uris: &str| {
            let params = format!(r#"{{"notifications":{{"resourceSubscriptions":{uris}}}}}"#);
            may(&public, &a, "files", "subscriptions/listen", &params)
        };
        assert!(listen(r#"["file:///public/x"]"#) && listen("[]"));
        assert!(!listen(r#"["file:///public/x","file:///secret"]"#));
        assert!(!listen(r#"["file:///public/../secret"]"#) && !listen("1"));
    }

    #[test]
    fn a_rule_that_cannot_mean_what_it_says_is_refused() {
        let problem = |rule: Rule| {
            let error = Rules::new(&[rule], &["time"]).map(|_| ()).unwrap_err();
            (error.key, error.problem)
        };
        let base = rule(&["a"], &["time"]);
        let key = |text: &str| text.to_owned();
        assert_eq!(
            problem(Rule { principals: None, ..base.clone() }),
            (key("principals"), RuleProblem::Anybody)
        );
        assert_eq!(problem(rule(&[], &["time"])), (key("principals"), RuleProblem::EmptyList));
        assert_eq!(problem(rule(&["a"], &[])), (key("servers"), RuleProblem::EmptyList));
        assert_eq!(
            problem(rule(&["a"], &["time", "tiem"])),
            (key("servers"), RuleProblem::UnknownServer(key("tiem")))
        );
        assert_eq!(
            problem(Rule { tools: Some(list(&[""])), ..base.clone() }),
            (
                key("tools"),
                RuleProblem::Pattern { pattern: String::new(), reason: PatternError::Empty }
            )
        );
        assert_eq!(
            problem(Rule { methods: Some(list(&["tools/call"])), ..base }),
            (
                key("methods"),
                RuleProblem::DecidedElsewhere { method: key("tools/call"), key: "tools" }
            )
        );
    }

    /// A member of an object: its key and its value, both as JSON.
    type Member = (String, String);

    /// A key or a name as a client could write it: in another case, with escapes, or with white space around it.
    fn spelled(text: &'static str) -> impl Strategy<Value = String> {
        let letter = |c: char| {
            prop_oneof![
                6 => Just(c.to_string()),
                1 => Just(c.to_ascii_uppercase().to_string()),
                1 => Just(format!("\\u{:04x}", u32::from(c))),
                1 => Just(if c == 's' { "\\u017f".to_owned() } else { c.to_string() }),
            ]
        };
        let letters: Vec<_> = text.chars().map(letter).collect();
        let around = prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\\t")];
        (letters, around)
            .prop_map(|(letters, around)| format!("\"{around}{}{around}\"", letters.concat()))
    }

    fn members(
        keys: [&'static str; 2],
        values: BoxedStrategy<String>,
    ) -> BoxedStrategy<Vec<Member>> {
        let key = prop_oneof![spelled(keys[0]), spelled(keys[1])];
        proptest::collection::vec((key, values), 0..4).boxed()
    }

    fn object(members: &[Member]) -> String {
        let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    }

    /// What parsers that are lenient find under a key: each of several members, in any case, white space left out.
    fn lenient(members: &[Member], wanted: &str) -> Vec<String> {
        let plain = |text: &str| -> String {
            let text: String = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
            let upper = text.trim().chars().flat_map(char::to_uppercase);
            upper.flat_map(char::to_lowercase).collect()
        };
        let named = members.iter().filter(|(key, _)| plain(key) == wanted);
        named.map(|(_, value)| plain(value)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Who may call one tool cannot call another, whatever the server's parser makes of the message.
        #[test]
        fn no_spelling_makes_a_refused_tool_pass(
            params in members(["name", "arguments"], prop_oneof![spelled("delete"), spelled("get")].boxed()),
            outer in members(["method", "id"], prop_oneof![spelled("tools/call"), spelled("ping")].boxed()),
            params_key in spelled("params"),
        ) {
            let only_get = rules(&[Rule { tools: Some(list(&["get"])), ..rule(&["a"], &["time"]) }]);
            let mut envelope = outer.clone();
            envelope.push(("\"jsonrpc\"".to_owned(), "\"2.0\"".to_owned()));
            envelope.push((params_key, object(&params)));
            let calls = lenient(&outer, "method").contains(&"tools/call".to_owned())
                && lenient(&params, "name").contains(&"delete".to_owned());
            let call = Call::parse(object(&envelope).as_bytes());
            let caller = caller(Some("a"), &[]);
            let passes = call.is_ok_and(|call| only_get.grants(&caller, "time").call(&call));
            prop_assert!(!(passes && calls), "{}", object(&envelope));
        }
    }
}
