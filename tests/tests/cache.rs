//! The compile cache: what is in it saves the compiling and changes nothing, whatever became of it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use portcullis_engine::{
    Asset, CompileCache, Decision, Engine, EngineOptions, LoadError, Metering, Policy,
    PolicyLimits, PolicySource, Preparation,
};
use portcullis_tests::gate::{Setup, binary, component};
use portcullis_tests::{guest, judge, pki};
use tempfile::TempDir;

/// A cache in a directory of its own.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn cache(&self) -> CompileCache {
        CompileCache::open(&self.0.path().join("cache"), 1024 * 1024 * 1024).unwrap()
    }

    /// As a host that starts.
    fn engine(&self, metering: Metering) -> Engine {
        let options = EngineOptions { metering, maximum_decisions: 1, ..EngineOptions::default() };
        Engine::with_cache(options, Some(self.cache())).unwrap()
    }

    fn loads(&self, source: PolicySource) -> Result<Policy, LoadError> {
        Policy::load(&self.engine(Metering::Time), source)
    }

    fn entries(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.cache().path()).unwrap();
        let mut entries: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    }

    /// Those that something was read from since they were [`aged`](Self::age).
    fn used(&self) -> usize {
        let old = |path: &PathBuf| path.metadata().unwrap().modified().unwrap() == long_ago();
        self.entries().iter().filter(|path| !old(path)).count()
    }

    fn age(&self) {
        for path in self.entries() {
            File::open(path).unwrap().set_modified(long_ago()).unwrap();
        }
    }
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

fn source(component: Vec<u8>) -> PolicySource {
    PolicySource {
        name: "guest".to_owned(),
        component,
        settings: "{}".to_owned(),
        assets: Vec::new(),
        limits: PolicyLimits::default(),
    }
}

fn decided(policy: Policy) -> Decision {
    judge::alone(&policy.into()).decide(&judge::handshake())
}

#[test]
fn a_policy_that_was_loaded_before_comes_from_the_cache_and_is_the_same() {
    for (without, preparation, entries) in [
        // The copy that is configured, the snapshot, and what came of configuring.
        (String::new(), Preparation::Snapshot, 3),
        (guest::text("no-snapshot"), Preparation::ReadyAhead, 2),
    ] {
        let home = Home::new();
        let component = guest::policy_from(&without);
        let first = home.loads(source(component.clone())).unwrap();
        assert_eq!(first.preparation(), preparation);
        assert_eq!(home.entries().len(), entries);

        home.age();
        let second = home.loads(source(component)).unwrap();
        // What was configured, and the component that is run; the copy is not asked again.
        assert_eq!((home.used(), home.entries().len()), (2, entries));
        assert_eq!(second.preparation(), preparation);
        assert_eq!(second.description(), first.description());
        assert_eq!(second.digest(), first.digest());
        assert!(decided(first).is_accepted() && decided(second).is_accepted());
    }
}

#[test]
fn other_settings_assets_limits_and_metering_are_other_entries() {
    let home = Home::new();
    let root = pki::root("Clients");
    let anchors = |pem: String| vec![Asset { name: "anchors".to_owned(), content: pem.into() }];
    let made = PolicySource {
        component: component("ca-chain"),
        assets: anchors(root.certificate_pem()),
        ..source(Vec::new())
    };
    let mut known = 0;
    let mut adds = |source: PolicySource, metering, more: usize| {
        for _ in 0..2 {
            Policy::load(&home.engine(metering), source.clone()).unwrap();
        }
        let entries = home.entries().len();
        assert_eq!(entries - known, more, "{:?}", source.settings);
        known = entries;
    };
    adds(made.clone(), Metering::Time, 3);
    // The copy that is configured is compiled once for all of them.
    let settings = r#"{ "minimum-rsa-bits": 4096 }"#.to_owned();
    adds(PolicySource { settings, ..made.clone() }, Metering::Time, 2);
    let assets = anchors(pki::root("Others").certificate_pem());
    adds(PolicySource { assets, ..made.clone() }, Metering::Time, 2);
    let limits = PolicyLimits { memory_bytes: 32 * 1024 * 1024, ..PolicyLimits::default() };
    // The same snapshot comes of it.
    adds(PolicySource { limits, ..made.clone() }, Metering::Time, 1);
    adds(made, Metering::Fuel, 3);
}

#[test]
fn what_a_policy_refuses_is_refused_again() {
    let home = Home::new();
    for _ in 0..2 {
        let refused = home.loads(source(guest::policy("configure-fails")));
        assert!(matches!(refused, Err(LoadError::Configure { .. })), "{refused:?}");
        let none = home.loads(PolicySource {
            component: component("ca-chain"),
            settings: r#"{ "minimum-rsa-bits": 1 }"#.to_owned(),
            ..source(Vec::new())
        });
        assert!(matches!(none, Err(LoadError::Setting { .. })), "{none:?}");
    }
}

#[test]
fn damaged_entries_are_thrown_away_and_the_policy_is_compiled_again() {
    let home = Home::new();
    let component = guest::policy_from("");
    home.loads(source(component.clone())).unwrap();
    let bytes =
        || -> Vec<Vec<u8>> { home.entries().iter().map(|path| fs::read(path).unwrap()).collect() };
    let whole = bytes();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes[20] ^= 1,
        |bytes| bytes.extend([0; 4096]),
    ];
    for damage in damages {
        for (path, whole) in home.entries().iter().zip(&whole) {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        assert!(decided(home.loads(source(component.clone())).unwrap()).is_accepted());
        // Whoever comes then finds them whole.
        let again = bytes();
        home.loads(source(component.clone())).unwrap();
        assert!(again.len() == whole.len() && bytes() == again);
    }
}

#[test]
fn an_entry_that_others_could_write_or_that_leads_elsewhere_is_not_run() {
    let home = Home::new();
    let component = guest::policy_from("");
    home.loads(source(component.clone())).unwrap();
    for path in home.entries() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    }
    assert!(decided(home.loads(source(component.clone())).unwrap()).is_accepted());
    let private = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & 0o777 == 0o600;
    assert!(home.entries().iter().all(private), "they were replaced");

    let elsewhere = home.0.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for path in home.entries() {
        let target = elsewhere.join(path.file_name().unwrap());
        fs::rename(&path, &target).unwrap();
        symlink(target, path).unwrap();
    }
    assert!(decided(home.loads(source(component)).unwrap()).is_accepted());
    assert!(home.entries().iter().all(|path| !path.is_symlink()));
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 3, "what links lead to is left alone");
}

#[test]
fn gates_that_start_at_once_share_a_cache_and_one_that_cannot_use_it_says_so() {
    let setup = Setup::new();
    setup.write("says.wasm", guest::policy("configure-takes-its-time"));
    setup.write(
        "portcullis.toml",
        "chain = [\"says\"]\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
         private-key = \"server.key\"\n[engine]\ncache-directory = \"cache\"\n",
    );
    let check = || {
        let mut command = Command::new(binary());
        command.args(["check", "--config"]).arg(setup.path("portcullis.toml"));
        command.arg("--plugins").arg(setup.directory()).env_remove("PORTCULLIS_LOG");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let entries = || fs::read_dir(setup.path("cache")).unwrap().count();
    let started: Vec<_> = (0..4).map(|_| check().spawn().unwrap()).collect();
    let after = started.into_iter().map(|child| child.wait_with_output().unwrap());
    for output in after.chain([check().output().unwrap()]) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        // What the policy logs as it is configured, in a gate that does not configure it too.
        assert!(said.contains("configure") && !said.contains("thrown away"), "{said}");
    }
    assert_eq!(entries(), 3);

    fs::set_permissions(setup.path("cache"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = check().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("engine.cache-directory") && said.contains("chmod 700"), "{said}");
}
